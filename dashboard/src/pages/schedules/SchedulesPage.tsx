import { Placeholder } from '@/ui/Placeholder';

export function SchedulesPage() {
  return <Placeholder />;
}
