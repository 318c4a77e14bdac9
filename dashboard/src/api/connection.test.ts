import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Connection } from './connection';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('Connection', () => {
  it('is lost until the gateway answers again, and says so once', async () => {
    const answers = [false, false, true];
    const connection = new Connection(async () => answers.shift() ?? true);
    const told: string[] = [];
    connection.subscribe((state) => told.push(state));
    connection.lost();
    connection.lost();
    expect(connection.state).toBe('lost');
    await vi.advanceTimersByTimeAsync(2000);
    expect(connection.state).toBe('ok');
    expect(told).toEqual(['lost', 'ok']);
  });

  it('heals as soon as any request gets through', () => {
    const connection = new Connection(async () => false);
    connection.lost();
    connection.seen();
    expect(connection.state).toBe('ok');
  });

  it('asks before it believes a 503 of one service behind a gateway that is well', async () => {
    const connection = new Connection(async () => true);
    const told: string[] = [];
    connection.subscribe((state) => told.push(state));
    connection.doubt();
    await vi.advanceTimersByTimeAsync(100);
    expect(told).toEqual([]);
  });
});
