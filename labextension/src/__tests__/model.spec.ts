import { type ILogLine, levelOf, parseLog, select, summaryOf } from '../log/model';
import { trans } from './trans';

const line = (priority: string, message: string, origin = 'imager::tclean'): ILogLine => ({
  time: '2026-11-22 13:00:00',
  priority,
  origin,
  message
});
const lines = [
  line('DEBUG1', 'grid allocated'),
  line('INFO', 'Run Major Cycle 1'),
  line('WARN', 'flagged channel', 'SIImageStore::calcSensitivity'),
  line('SEVERE', 'cannot open table'),
  { time: '', priority: '', origin: '', message: 'printed by a library' }
];

describe('levels', () => {
  it.each([
    ['SEVERE', 'severe'],
    ['ERROR', 'severe'],
    ['WARN', 'warn'],
    ['INFO', 'info'],
    ['INFO5', 'info'],
    ['', 'info'],
    ['DEBUG', 'debug'],
    ['DEBUG2', 'debug']
  ])('%s is %s', (priority, level) => {
    expect(levelOf(line(priority, ''))).toBe(level);
  });
});

describe('select', () => {
  const messages = (...args: Parameters<typeof select>) => select(...args).map(({ message }) => message);

  it('keeps everything, in order, when nothing is asked', () => {
    expect(select(lines, 'debug', '  ')).toEqual(lines);
  });

  it('keeps the lines at least as grave', () => {
    expect(messages(lines, 'info', '')).toEqual([
      'Run Major Cycle 1',
      'flagged channel',
      'cannot open table',
      'printed by a library'
    ]);
    expect(messages(lines, 'warn', '')).toEqual(['flagged channel', 'cannot open table']);
    expect(messages(lines, 'severe', '')).toEqual(['cannot open table']);
  });

  it('finds text in message and origin, in any case, literally', () => {
    expect(messages(lines, 'debug', 'MAJOR')).toEqual(['Run Major Cycle 1']);
    expect(messages(lines, 'debug', 'siimagestore')).toEqual(['flagged channel']);
    expect(messages(lines, 'debug', '.*')).toEqual([]);
  });

  it('needs both', () => {
    expect(messages(lines, 'severe', 'channel')).toEqual([]);
  });
});

const nothing = { task: '', headline: '', details: [], notes: [], printed: [], opened: false };

describe('parseLog', () => {
  const words = { headline: 'tclean ran', details: ['why'], notes: ['a'], printed: ['b'], opened: true };
  const log = { task: 'tclean', ...words, lines, counts: { warn: 1, severe: 1 }, omitted: 0 };

  it('reads what the kernel sends', () => {
    expect(parseLog({ version: 1, ...log })).toEqual(log);
  });

  it('fills what is missing or of another type', () => {
    expect(parseLog({ version: 1, lines: [{ message: 5, priority: 'WARN' }, null, 'x'] })).toEqual({
      ...nothing,
      lines: [{ time: '', priority: 'WARN', origin: '', message: '' }],
      counts: { warn: 0, severe: 0 },
      omitted: 0
    });
  });

  it.each([[null], ['text'], [[]], [{}], [{ ...log, version: 2 }], [{ version: 1, lines: 'x' }]])(
    'refuses %j',
    data => {
      expect(parseLog(data)).toBeNull();
    }
  );
});

describe('summaryOf', () => {
  it('counts the whole log', () => {
    const log = {
      ...nothing,
      task: 'split',
      lines: lines.slice(0, 1),
      counts: { warn: 1, severe: 0 },
      omitted: 236
    };
    expect(summaryOf(log, trans)).toBe('split: 237 lines, 1 warning, 0 errors');
    expect(summaryOf({ ...log, task: '', omitted: 0 }, trans)).toBe('log: 1 line, 1 warning, 0 errors');
  });
});
