import { Placeholder } from '@/ui/Placeholder';

export function RunPage() {
  return <Placeholder />;
}
