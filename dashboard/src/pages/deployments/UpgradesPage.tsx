import { Placeholder } from '@/ui/Placeholder';

export function UpgradesPage() {
  return <Placeholder />;
}
