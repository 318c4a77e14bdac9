import { Placeholder } from '@/ui/Placeholder';

export function CommandsPage() {
  return <Placeholder />;
}
