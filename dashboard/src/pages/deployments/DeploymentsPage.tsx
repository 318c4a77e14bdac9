import { Placeholder } from '@/ui/Placeholder';

export function DeploymentsPage() {
  return <Placeholder />;
}
