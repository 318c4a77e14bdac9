import { Placeholder } from '@/ui/Placeholder';

export function JobsPage() {
  return <Placeholder />;
}
