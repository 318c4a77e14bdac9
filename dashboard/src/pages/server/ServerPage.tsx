import { Placeholder } from '@/ui/Placeholder';

export function ServerPage() {
  return <Placeholder />;
}
