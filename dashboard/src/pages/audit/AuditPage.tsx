import { Placeholder } from '@/ui/Placeholder';

export function AuditPage() {
  return <Placeholder />;
}
