import { sectionsOf } from '../sections';

const notebook = (...cells: [type: string, text: string][]) => ({
  cells: cells.map(([cell_type, text], n) => ({ cell_type, id: `c${String(n)}`, getSource: () => text }))
});
const sections = (...cells: [type: string, text: string][]) =>
  sectionsOf(notebook(...cells) as never, 'Beginning').map(
    ({ title, cells: own }) => `${title}: ${own.join(' ')}`
  );

describe('sections', () => {
  it('begin with headings of the first two ranks', () => {
    expect(
      sections(
        ['code', 'x = 1'],
        ['markdown', 'Text\n\n## The *data* ##'],
        ['code', 'y'],
        ['markdown', '### Not so important\n\ntext'],
        ['code', 'z'],
        ['markdown', '# [Maps](http://x)'],
        ['code', 'm']
      )
    ).toEqual(['Beginning: c0', 'The data: c2 c4', 'Maps: c6']);
  });

  it('are none where there is no heading', () => {
    expect(sections(['code', '# a comment'], ['markdown', 'text'], ['raw', '# raw'])).toEqual([]);
  });

  it('need a cell, and no heading stands in a block of code', () => {
    expect(
      sections(['markdown', '# A\n\n```\n# no heading\n```'], ['code', ''], ['markdown', '# B'])
    ).toEqual(['A: c1']);
  });
});
