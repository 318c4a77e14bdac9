/** Names for what the API answers. */
import type { components } from './schema';

type Schemas = components['schemas'];
export type Agent = Schemas['Agent'];
export type AgentStatus = Schemas['AgentStatus'];
export type Command = Schemas['Command'];
export type Deployment = Schemas['Deployment'];
export type Facts = Schemas['Facts'];
export type Job = Schemas['Job'];
export type JobPreview = Schemas['JobPreview'];
export type JobTarget = Schemas['JobTarget'];
export type Schedule = Schemas['Schedule'];
export type Server = Schemas['Server'];
export type ServerCounts = Schemas['ServerCounts'];
export type Series = Schemas['Series'];
export type Metric = Schemas['Metric'];
export type Status = Schemas['Status'];
export type Step = Schemas['Step'];
export type Transition = Schemas['Transition'];
export type FactChange = Schemas['FactChange'];
export type HostKeyState = Schemas['HostKeyState'];
export type HeartbeatStatus = Schemas['HeartbeatStatus'];
export type CheckResult = Schemas['CheckResult'];
export type Credential = Schemas['Credential'];

export type Role = 'viewer' | 'operator' | 'admin';

export interface Grant {
  role: Role;
  selector: string;
}

export interface Me {
  name: string;
  user: { id: string; name: string; display_name: string } | null;
  via: 'session' | 'token' | 'root';
  grants: Grant[];
  cap: Grant | null;
}

export interface Session {
  id: string;
  user: string;
  created_at: string;
  last_used_at: string | null;
  expires_at: string;
  address: string;
  user_agent: string;
  current: boolean;
}

export interface SessionState {
  me: Me;
  session: Session | null;
  csrf_token: string | null;
}

export interface User {
  id: string;
  name: string;
  display_name: string;
  kind: 'person' | 'program';
  grants: Grant[];
  disabled: boolean;
  created_at: string;
  last_login_at: string | null;
  etag: string;
}

export interface Token {
  id: string;
  name: string;
  user: string;
  role: Role | null;
  selector: string;
  created_at: string;
  expires_at: string | null;
  last_used_at: string | null;
}

export interface NewTokenAnswer extends Token {
  token: string;
}

export interface AuditEntry {
  seq: number;
  at: string;
  principal: string;
  via: string;
  address: string;
  operation: string;
  targets: string[];
  resource: string;
  request_id: string;
  result: string;
  status: number;
  reason: string;
  details: Record<string, unknown>;
  prev_hash: string;
  hash: string;
}

export interface Verification {
  ok: boolean;
  count: number;
  head_seq: number;
  head_hash: string;
  sealed_through: number;
  bad_seq: number | null;
  problem: string;
}
