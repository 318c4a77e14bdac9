import { Placeholder } from '@/ui/Placeholder';

export function AddServerPage() {
  return <Placeholder />;
}
