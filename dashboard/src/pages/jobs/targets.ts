/** The targets of a job as they are known: the newest word about each, whatever order words come in. */
import type { JobTarget } from '@/api/types';

export interface Group {
  key: string;
  status: string;
  exitCode: number | null;
  /** Their numbers, ascending. */
  numbers: number[];
  size: number;
}

export interface TargetFilter {
  statuses: ReadonlySet<string>;
  /** Part of a name. */
  text: string;
  group: string;
}

/** What the badge of a target tells. */
export function targetStanding({ status, reason, message, ended_at, started_at }: JobTarget) {
  return { state: status, cause: reason, message, since: ended_at ?? started_at };
}

export class Targets {
  private readonly all: (JobTarget | undefined)[] = [];
  private known = 0;
  /** Grows with each change. */
  version = 0;

  get size(): number {
    return this.known;
  }

  get(number: number): JobTarget | undefined {
    return this.all[number - 1];
  }

  apply(targets: readonly JobTarget[]): void {
    for (const target of targets) {
      const before = this.all[target.number - 1];
      if (before !== undefined && before.revision >= target.revision) continue;
      if (before === undefined) this.known += 1;
      this.all[target.number - 1] = target;
      this.version += 1;
    }
  }

  /** Numbers of those that fit, ascending. */
  select({ statuses, text, group }: TargetFilter): number[] {
    const wanted = text.trim().toLowerCase();
    const numbers: number[] = [];
    for (const target of this.all) {
      if (target === undefined) continue;
      if (statuses.size > 0 && !statuses.has(target.status)) continue;
      if (wanted !== '' && !target.server_name.toLowerCase().includes(wanted)) continue;
      if (group !== '' && groupOf(target) !== group) continue;
      numbers.push(target.number);
    }
    return numbers;
  }

  /** Those that ended with the same state, exit status and output, the largest group first. */
  groups(): Group[] {
    const groups = new Map<string, Group>();
    for (const target of this.all) {
      if (target === undefined) continue;
      const key = groupOf(target);
      if (key === '') continue;
      const group = groups.get(key);
      if (group !== undefined) group.numbers.push(target.number);
      else {
        const { status, exit_code, number, log_size_bytes } = target;
        groups.set(key, { key, status, exitCode: exit_code, numbers: [number], size: log_size_bytes });
      }
    }
    return [...groups.values()].sort((a, b) => b.numbers.length - a.numbers.length || a.numbers[0]! - b.numbers[0]!);
  }

  /** What a person wants to see first: a failure, else what runs, else the first of them. */
  interesting(): number {
    for (const statuses of [['failed', 'timeout', 'lost', 'unknown'], ['running'], ['success']]) {
      const found = this.all.find((target) => target !== undefined && statuses.includes(target.status));
      if (found !== undefined) return found.number;
    }
    return this.all.find((target) => target !== undefined)?.number ?? 0;
  }
}

/** What makes outputs one group; empty while it is not known. */
export function groupOf(target: JobTarget): string {
  if (target.output_sha256 === '') return '';
  return `${target.status}:${target.exit_code ?? ''}:${target.output_sha256}`;
}
