import { Placeholder } from '@/ui/Placeholder';

export function UsersPage() {
  return <Placeholder />;
}
