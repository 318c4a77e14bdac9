import { Placeholder } from '@/ui/Placeholder';

export function CommandPage() {
  return <Placeholder />;
}
