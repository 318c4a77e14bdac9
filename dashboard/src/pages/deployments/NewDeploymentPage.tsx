import { Placeholder } from '@/ui/Placeholder';

export function NewDeploymentPage() {
  return <Placeholder />;
}
