import { Placeholder } from '@/ui/Placeholder';

export function SchedulePage() {
  return <Placeholder />;
}
