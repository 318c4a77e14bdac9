import { Placeholder } from '@/ui/Placeholder';

export function CredentialsPage() {
  return <Placeholder />;
}
