import { Placeholder } from '@/ui/Placeholder';

export function SessionsPage() {
  return <Placeholder />;
}
