import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from '@tanstack/react-router';
import type { ComponentType } from 'react';
import { whenSessionIsAnother, whenSignedOut } from './api/client';
import { queryClient } from './api/queries';
import { forgetSession, sessionQuery } from './api/session';
import { LoginPage } from './pages/login/LoginPage';
import { Failure, NotFound } from './shell/Failure';
import { Shell } from './shell/Shell';
import { parseSearch, stringifySearch } from './ui/useUrlState';

const root = createRootRoute({ component: Outlet, notFoundComponent: NotFound });

const login = createRoute({ getParentRoute: () => root, path: '/login', component: LoginPage });

/** Everything that needs a login: without one, to the login page and back again afterwards. */
const inside = createRoute({
  getParentRoute: () => root,
  id: 'inside',
  component: Shell,
  beforeLoad: async ({ location }) => {
    const state = await queryClient.ensureQueryData(sessionQuery);
    if (state === null) throw redirect({ to: '/login', search: { next: location.href } as never });
  },
});

type Loader = () => Promise<Record<string, unknown>>;

/** A page in a chunk of its own, loaded when somebody goes there. */
function page(path: string, load: Loader, name: string) {
  return createRoute({
    getParentRoute: () => inside,
    path,
    component: lazyRouteComponent(load as () => Promise<Record<string, ComponentType>>, name),
  });
}

const pages = [
  page('/', () => import('./pages/fleet/FleetPage'), 'FleetPage'),
  page('/servers', () => import('./pages/servers/ServersPage'), 'ServersPage'),
  page('/servers/new', () => import('./pages/servers/AddServerPage'), 'AddServerPage'),
  page('/servers/$server', () => import('./pages/server/ServerPage'), 'ServerPage'),
  page('/run', () => import('./pages/run/RunPage'), 'RunPage'),
  page('/commands', () => import('./pages/commands/CommandsPage'), 'CommandsPage'),
  page('/commands/$commandId', () => import('./pages/commands/CommandPage'), 'CommandPage'),
  page('/jobs', () => import('./pages/jobs/JobsPage'), 'JobsPage'),
  page('/jobs/$jobId', () => import('./pages/jobs/JobPage'), 'JobPage'),
  page('/deployments', () => import('./pages/deployments/DeploymentsPage'), 'DeploymentsPage'),
  page('/deployments/new', () => import('./pages/deployments/NewDeploymentPage'), 'NewDeploymentPage'),
  page('/deployments/$deploymentId', () => import('./pages/deployments/DeploymentPage'), 'DeploymentPage'),
  page('/upgrades', () => import('./pages/deployments/UpgradesPage'), 'UpgradesPage'),
  page('/schedules', () => import('./pages/schedules/SchedulesPage'), 'SchedulesPage'),
  page('/schedules/new', () => import('./pages/schedules/NewSchedulePage'), 'NewSchedulePage'),
  page('/schedules/$schedule', () => import('./pages/schedules/SchedulePage'), 'SchedulePage'),
  page('/playbooks', () => import('./pages/playbooks/PlaybooksPage'), 'PlaybooksPage'),
  page('/credentials', () => import('./pages/credentials/CredentialsPage'), 'CredentialsPage'),
  page('/users', () => import('./pages/users/UsersPage'), 'UsersPage'),
  page('/tokens', () => import('./pages/tokens/TokensPage'), 'TokensPage'),
  page('/sessions', () => import('./pages/sessions/SessionsPage'), 'SessionsPage'),
  page('/audit', () => import('./pages/audit/AuditPage'), 'AuditPage'),
  page('/account', () => import('./pages/account/AccountPage'), 'AccountPage'),
];

export const router = createRouter({
  routeTree: root.addChildren([login, inside.addChildren(pages)]),
  defaultErrorComponent: Failure,
  defaultNotFoundComponent: NotFound,
  defaultPreload: 'intent',
  defaultPreloadStaleTime: 0,
  parseSearch,
  stringifySearch,
});

whenSignedOut(() => {
  if (router.state.location.pathname === '/login') return;
  // Whoever signs in next in this tab sees nothing that was read before.
  forgetSession();
  queryClient.clear();
  queryClient.setQueryData(sessionQuery.queryKey, null);
  void router.navigate({ to: '/login', search: { next: router.state.location.href } as never });
});

// Somebody has signed in anew in another tab of this browser.
whenSessionIsAnother(async () => {
  return (await queryClient.fetchQuery({ ...sessionQuery, staleTime: 0 })) !== null;
});
