/** What several pages ask about servers. */
import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import { allPages, request } from './client';
import type { Agent, HeartbeatStatus, Server, Status } from './types';

/** All servers that a selector matches. They are shown as they come when nothing is there to be shown meanwhile. */
export const serverList = (selector: string) =>
  queryOptions({
    queryKey: ['servers', 'list', selector],
    queryFn: ({ client, queryKey, signal }) => {
      const isFirst = client.getQueryData(queryKey) === undefined;
      const show = (soFar: Server[]) => client.setQueryData<Server[]>(queryKey, [...soFar]);
      return allPages<Server>('/servers', { selector }, signal, isFirst ? show : undefined);
    },
    placeholderData: keepPreviousData,
  });

export const serverDetail = (server: string) =>
  queryOptions({
    queryKey: ['servers', 'one', server],
    queryFn: ({ signal }) => request<Server>('GET', `/servers/${encodeURIComponent(server)}`, { signal }),
  });

export const statusQuery = queryOptions({
  queryKey: ['status'],
  queryFn: ({ signal }) => request<Status>('GET', '/status', { signal }),
});

export const heartbeatQuery = queryOptions({
  queryKey: ['status', 'heartbeat'],
  queryFn: ({ signal }) => request<HeartbeatStatus>('GET', '/heartbeat', { signal }),
});

/** The one word for a server: what its agent is, or that there is none. */
export function stateOf(server: Server): string {
  return server.agent?.status ?? 'no_agent';
}

/** What its badge tells. */
export function agentStanding(server: Server) {
  const { agent } = server;
  return { state: stateOf(server), cause: agent?.status_reason, message: agent?.status_message, since: agent?.status_since };
}

/** What else is to be known at a glance. */
export function marksOf(server: Server): string[] {
  const marks = [];
  if (server.agent?.quarantine) marks.push('quarantined');
  if (server.agent?.flapping) marks.push('flapping');
  if (server.maintenance) marks.push('maintenance');
  if (server.pause) marks.push('paused');
  if (server.agent?.rotating) marks.push('rotating');
  return marks;
}

/** Used part of the memory, 0 to 1; null when the agent did not say. */
export function memoryUsed(agent: Agent | null): number | null {
  const facts = agent?.facts;
  if (!facts || facts.memory_total_bytes <= 0) return null;
  return 1 - facts.memory_available_bytes / facts.memory_total_bytes;
}

/** Used part of the fullest file system. */
export function diskUsed(agent: Agent | null): number | null {
  const parts = (agent?.facts?.disks ?? [])
    .filter((disk) => disk.total_bytes > 0)
    .map((disk) => 1 - disk.free_bytes / disk.total_bytes);
  return parts.length === 0 ? null : Math.max(...parts);
}
