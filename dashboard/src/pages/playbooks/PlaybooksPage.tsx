import { Placeholder } from '@/ui/Placeholder';

export function PlaybooksPage() {
  return <Placeholder />;
}
