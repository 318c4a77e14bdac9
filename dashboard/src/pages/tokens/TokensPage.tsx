import { Placeholder } from '@/ui/Placeholder';

export function TokensPage() {
  return <Placeholder />;
}
