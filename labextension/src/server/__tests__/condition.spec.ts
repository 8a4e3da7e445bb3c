import { CasaServerError } from '../client';
import { type Condition, ServerCondition } from '../condition';

const checked = async (status: () => Promise<{ version: string; casatasks: string | null }>) => {
  const condition = new ServerCondition({ status }, '0.1.0');
  const seen: Condition[] = [];
  condition.changed.connect((_, now) => seen.push(now));
  await condition.check();
  return { condition, seen };
};

it('is ready with the same version only', async () => {
  const same = await checked(() => Promise.resolve({ version: '0.1.0', casatasks: '6.7' }));
  expect(same.seen).toEqual(['ready']);
  expect(same.condition.casatasks).toBe('6.7');
  const other = await checked(() => Promise.resolve({ version: '0.2.0', casatasks: '6.7' }));
  expect([other.condition.condition, other.condition.serverVersion]).toEqual(['other-version', '0.2.0']);
});

it('a server without the extension is not asked again', async () => {
  jest.useFakeTimers();
  const status = jest.fn(() => Promise.reject(new CasaServerError('missing', '404', 404)));
  const { condition } = await checked(status);
  await jest.advanceTimersByTimeAsync(60_000);
  expect(condition.condition).toBe('missing');
  expect(status).toHaveBeenCalledTimes(1);
  jest.useRealTimers();
});

it('a server that cannot be reached is asked again', async () => {
  jest.useFakeTimers();
  let away = true;
  const { condition, seen } = await checked(() =>
    away
      ? Promise.reject(new CasaServerError('offline', 'away'))
      : Promise.resolve({ version: '0.1.0', casatasks: null })
  );
  expect(condition.condition).toBe('offline');
  away = false;
  await jest.advanceTimersByTimeAsync(60_000);
  expect(seen).toEqual(['offline', 'ready']);
  jest.useRealTimers();
});
