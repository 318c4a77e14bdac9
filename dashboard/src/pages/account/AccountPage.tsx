import { Placeholder } from '@/ui/Placeholder';

export function AccountPage() {
  return <Placeholder />;
}
