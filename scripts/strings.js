#!/usr/bin/env node
/**
 * What people read in the front end, as it is in its source, and whether a catalogue has all of it.
 *
 *     node scripts/strings.js             what is to be translated (JSON on standard output)
 *     node scripts/strings.js --update    each catalogue gets what it lacks, empty, and loses what nobody says any more
 */
const fs = require('fs');
const path = require('path');
const ts = require('typescript');

const ROOT = path.join(__dirname, '..');
const SOURCES = path.join(ROOT, 'labextension/src');
const SCHEMAS = path.join(ROOT, 'labextension/schema');
const CATALOGUES = path.join(ROOT, 'python/jupyterlab_casa/locale');
const NAME = 'LC_MESSAGES/jupyterlab_casa.json';

/** Methods of JupyterLab's translations: how many texts they take after the context, and whether there is one. */
const METHODS = {
  __: { texts: 1, context: false },
  _n: { texts: 2, context: false },
  _p: { texts: 1, context: true },
  _np: { texts: 2, context: true }
};
/** Between a context and a text, as gettext has it. */
const GLUE = '\u0004';
/** Where the browser shows what is given as it is. */
const SHOWN = /^(title|alt|placeholder|label|caption|aria-label|aria-description|aria-roledescription|textContent)$/;
/** What a settings schema shows, and the contexts in which JupyterLab looks for its translation. */
const SCHEMA = [
  [/^\/(definitions\/[^/]+\/)?properties\/.*\/(title|description)$/, 'settings'],
  [/^\/(title|description)$/, 'schema'],
  [/^\/jupyter\.lab\.setting-icon-label$/, 'settings'],
  [/^\/jupyter\.lab\.menus\/.*\/label$/, 'menu'],
  [/^\/jupyter\.lab\.toolbars\/.*\/label$/, 'toolbar']
];

/** All texts: `texts`, key of a catalogue -> plural, or null; and `mistakes`, what cannot be translated, and where. */
function strings() {
  const texts = new Map();
  const mistakes = [];
  for (const file of files(SOURCES, /\.tsx?$/)) {
    const source = ts.createSourceFile(file, fs.readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true);
    const mistake = (node, what) => {
      const { line } = source.getLineAndCharacterOfPosition(node.getStart());
      mistakes.push(`${path.relative(ROOT, file)}:${line + 1}: ${what}: ${node.getText().slice(0, 80)}`);
    };
    const visit = node => {
      if (ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression)) {
        call(node, node.expression.name.text, texts, mistake);
      } else if (ts.isJsxText(node) && says(node.text)) {
        mistake(node, 'not translated');
      } else if (ts.isJsxAttribute(node) && SHOWN.test(node.name.getText())) {
        plain(node.initializer, mistake);
      } else if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.EqualsToken) {
        const { left } = node;
        if (ts.isPropertyAccessExpression(left) && SHOWN.test(left.name.text)) {
          plain(node.right, mistake);
        }
      }
      ts.forEachChild(node, visit);
    };
    visit(source);
  }
  for (const file of fs.existsSync(SCHEMAS) ? files(SCHEMAS, /\.json$/) : []) {
    ofSchema(JSON.parse(fs.readFileSync(file, 'utf8')), '', texts);
  }
  return { texts, mistakes };
}

function call(node, method, texts, mistake) {
  if (method === 'setAttribute' && node.arguments.length === 2) {
    const [name, value] = node.arguments;
    if (ts.isStringLiteral(name) && SHOWN.test(name.text)) {
      plain(value, mistake);
    }
  }
  const kind = Object.hasOwn(METHODS, method) ? METHODS[method] : undefined;
  if (!kind) {
    return;
  }
  const given = node.arguments.slice(0, kind.texts + (kind.context ? 1 : 0));
  if (!given.length || !given.every(ts.isStringLiteralLike)) {
    mistake(node, 'to be translated, but no plain text');
    return;
  }
  const words = given.map(({ text }) => text);
  const context = kind.context ? `${words.shift()}${GLUE}` : '';
  texts.set(context + words[0], words[1] ?? texts.get(context + words[0]) ?? null);
}

function plain(value, mistake) {
  if (value && ts.isStringLiteralLike(value) && says(value.text)) {
    mistake(value, 'not translated');
  }
}

/** Whether there is a word in a text; signs and units are the same everywhere. */
function says(text) {
  return /\p{L}{2}/u.test(text);
}

function ofSchema(node, place, texts) {
  for (const [key, value] of Object.entries(node)) {
    const at = Array.isArray(node) ? place : `${place}/${key}`;
    if (value && typeof value === 'object') {
      ofSchema(value, at, texts);
    } else if (typeof value === 'string') {
      const [, context] = SCHEMA.find(([pattern]) => pattern.test(at)) ?? [];
      if (context) {
        texts.set(context + GLUE + value, null);
      }
    }
  }
}

function files(directory, pattern) {
  return fs
    .readdirSync(directory, { withFileTypes: true })
    .flatMap(entry => {
      const file = path.join(directory, entry.name);
      if (entry.isDirectory()) {
        return entry.name === '__tests__' ? [] : files(file, pattern);
      }
      return pattern.test(entry.name) ? [file] : [];
    })
    .sort();
}

/** The catalogues: language -> file. */
function catalogues() {
  const languages = fs.readdirSync(CATALOGUES).filter(name => fs.existsSync(path.join(CATALOGUES, name, NAME)));
  return Object.fromEntries(languages.map(name => [name, path.join(CATALOGUES, name, NAME)]));
}

function update({ texts }) {
  for (const file of Object.values(catalogues())) {
    const { '': head, ...known } = JSON.parse(fs.readFileSync(file, 'utf8'));
    const forms = Number(/nplurals=(\d)/.exec(head.plural_forms)[1]);
    const told = [...texts.keys()].sort().map(key => {
      const empty = Array(texts.get(key) === null ? 1 : forms).fill('');
      return [key, known[key]?.length === empty.length ? known[key] : empty];
    });
    fs.writeFileSync(file, `${JSON.stringify({ '': head, ...Object.fromEntries(told) }, null, 2)}\n`);
  }
}

const found = strings();
if (process.argv[2] === '--update') {
  update(found);
} else {
  const { texts, mistakes } = found;
  process.stdout.write(
    `${JSON.stringify({ texts: Object.fromEntries(texts), mistakes, catalogues: catalogues() }, null, 2)}\n`
  );
}
