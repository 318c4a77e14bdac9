import { Placeholder } from '@/ui/Placeholder';

export function DeploymentPage() {
  return <Placeholder />;
}
