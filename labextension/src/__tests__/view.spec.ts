import { createCallView, createLogView } from '../log/view';
import { trans } from './trans';

const log = {
  task: 'flagdata',
  headline: '',
  details: [] as string[],
  notes: [] as string[],
  printed: [] as string[],
  opened: false,
  lines: [
    { time: '2026-11-22 13:00:00', priority: 'INFO', origin: 'flagdata::', message: 'Begin Task' },
    {
      time: '2026-11-22 13:00:01',
      priority: 'WARN',
      origin: 'agent::',
      message: '<img src=x onerror=alert(1)>'
    },
    { time: '2026-11-22 13:00:02', priority: 'SEVERE', origin: 'agent::', message: 'no such antenna' }
  ],
  counts: { warn: 1, severe: 1 },
  omitted: 4
};

const find = (view: HTMLElement, selector: string) => {
  const found = view.querySelector(selector);
  if (!found) {
    throw new Error(`no ${selector}`);
  }
  return found;
};

const open = () => {
  const view = createLogView(log, trans);
  view.dispatchEvent(new Event('toggle'));
  return {
    view,
    level: find(view, 'select') as HTMLSelectElement,
    search: find(view, 'input') as HTMLInputElement,
    status: find(view, '[role=status]'),
    messages: () => Array.from(view.querySelectorAll('tbody td:last-child'), cell => cell.textContent)
  };
};

it('is closed and small until it is opened', () => {
  const view = createLogView(log, trans);
  expect(view.tagName).toBe('DETAILS');
  expect(view.hasAttribute('open')).toBe(false);
  expect(view.querySelector('table')).toBeNull();
  expect(find(view, 'summary').textContent).toBe('flagdata: 7 lines, 1 warning, 1 error');
});

it('shows text as text', () => {
  const { view, messages } = open();
  expect(messages()).toEqual(['Begin Task', '<img src=x onerror=alert(1)>', 'no such antenna']);
  expect(view.querySelector('img')).toBeNull();
});

it('filters by priority and text, and says how much is shown', () => {
  const { level, search, status, messages } = open();
  expect(status.textContent).toBe('3 of 3 lines, 4 more not kept in the notebook');
  level.value = 'warn';
  level.dispatchEvent(new Event('change'));
  expect(messages()).toEqual(['<img src=x onerror=alert(1)>', 'no such antenna']);
  search.value = 'Antenna';
  search.dispatchEvent(new Event('input'));
  expect(messages()).toEqual(['no such antenna']);
  expect(status.textContent).toBe('1 of 3 lines, 4 more not kept in the notebook');
});

it('has one table, however often it is opened', () => {
  const { view } = open();
  view.dispatchEvent(new Event('toggle'));
  expect(view.querySelectorAll('table')).toHaveLength(1);
});

it('names its controls', () => {
  const { level, search, view } = open();
  expect(level.getAttribute('aria-label')).toBeTruthy();
  expect(search.getAttribute('aria-label')).toBeTruthy();
  expect(view.querySelectorAll('th[scope=col]')).toHaveLength(4);
});

it('says what came of the call, why, and what there is to know', async () => {
  const view = createCallView(
    {
      ...log,
      headline: 'tclean ran in 27.1 s',
      details: ['`niter` was 0, is now <b>5</b>'],
      notes: ['set aside: a.image'],
      printed: ['0%', '100%'],
      opened: true
    },
    trans
  );
  expect(find(view, '.jp-CasaCall-headline').textContent).toBe(
    'tclean ran in 27.1 s · `niter` was 0, is now <b>5</b>'
  );
  expect(find(view, '.jp-CasaCall-note').textContent).toBe('Note: set aside: a.image');
  expect(find(view, '.jp-CasaCall-printed summary').textContent).toBe('printed: 2 lines');
  expect((find(view, '.jp-CasaLog') as HTMLDetailsElement).open).toBe(true);
  await new Promise(resolve => setTimeout(resolve)); // the browser tells of the toggle later
  expect(find(view, '.jp-CasaLog-status').textContent).toContain('3 of 3 lines');
});

it('shows no empty log below a headline', () => {
  const view = createCallView({ ...log, lines: [], headline: 'rmtables ran in 0.1 s' }, trans);
  expect(view.querySelector('.jp-CasaLog')).toBeNull();
});
