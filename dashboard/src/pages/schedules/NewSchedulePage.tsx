import { Placeholder } from '@/ui/Placeholder';

export function NewSchedulePage() {
  return <Placeholder />;
}
