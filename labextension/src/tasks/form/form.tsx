/** The form beside the notebook: the call under the cursor with its parameters, and the help of its task. */
import type { TranslationBundle } from '@jupyterlab/translation';
import { type ReactElement, useEffect, useId, useRef, useState } from 'react';
import type { IMeasurementSet, IParameter } from '../../server/types';
import { Docs, TaskHelp } from '../help';
import type { FormState } from './state';
import { pythonOf } from './literal';
import {
  type CallForm,
  defaultText,
  type IField,
  type IOffer,
  isOffered,
  isSelected,
  isShown,
  offersOf,
  picks,
  type Problem,
  toggled,
  type Widget,
  widgetOf
} from './model';
import { problemText, troubleText, typesText } from '../words';

/** What fields need to know and can do. */
interface IFieldActions {
  form: CallForm;
  ms: IMeasurementSet | null;
  writable: boolean;
  write: (name: string, text: string | null) => void;
  pick: (parameter: IParameter, kind: 'directory' | 'file') => Promise<string | null>;
  trans: TranslationBundle;
}

/** One parameter. What is typed is written when it is done, if it can be. */
function Field({ field, actions }: { field: IField; actions: IFieldActions }): ReactElement {
  const { form, ms, writable, write, trans } = actions;
  const { parameter, text, read } = field;
  const id = useId();
  const [draft, setDraft] = useState<string | null>(null);
  const [python, setPython] = useState(false);
  const [open, setOpen] = useState<'' | 'docs' | 'offers'>('');
  const widget: Widget = python ? 'python' : widgetOf(field);
  const preset = defaultText(parameter, form.quote);

  // The value, as this kind of field shows it; and the source that it stands for.
  const shown =
    widget === 'text' && typeof read?.value === 'string'
      ? text === null
        ? ''
        : read.value
      : (text ?? (widget === 'choice' || widget === 'bool' ? preset : ''));
  const sourceOf = (typed: string): string | null =>
    widget === 'text'
      ? typed === '' && text === null
        ? null
        : form.asText(parameter.name, typed)
      : typed.trim() || null;
  const problem: Problem | null =
    draft === null
      ? field.problem
      : sourceOf(draft) === null
        ? null
        : form.check(parameter, sourceOf(draft) ?? '');
  const done = (typed: string | null) => {
    const source = typed === null ? null : sourceOf(typed);
    if (typed !== null && (source === null || !form.check(parameter, source))) {
      setDraft(null);
      write(parameter.name, source);
    }
  };
  useEffect(() => {
    setDraft(null); // it was written, or changed in the cell
  }, [text]);

  const named = Array.isArray(read?.value) ? read.value[0] : read?.value;
  const absent =
    ms?.exists === false && parameter.must_exist && named !== '' && named === form.measurementSet;
  const offers: IOffer[] = ms ? offersOf(parameter.name, ms) : [];
  const list = parameter.type.split('|').every(type => type.endsWith('Vec'));
  const kind = picks(parameter, form.task);
  const label = parameter.name;
  const common = {
    id,
    disabled: !writable,
    'aria-invalid': problem !== null,
    'aria-describedby': `${id}-problem`,
    className: 'jp-casa-field-input'
  };
  const choices = Array.from(
    new Set([
      ...parameter.allowed.map(value => pythonOf(value, { quote: form.quote })),
      preset,
      ...(text === null ? [] : [text])
    ])
  );
  return (
    <div
      className="jp-casa-field"
      data-parameter={parameter.name}
      data-given={text !== null}
      data-idle={!field.applies}
      style={{ paddingInlineStart: `${String(field.depth * 14)}px` }}
    >
      <div className="jp-casa-field-head">
        <label htmlFor={id} title={parameter.summary}>
          {label}
        </label>
        <span className="jp-casa-field-type">{parameter.units}</span>
        <button
          type="button"
          className="jp-casa-field-button"
          aria-expanded={open === 'docs'}
          aria-label={trans.__('What %1 means', label)}
          title={parameter.summary}
          onClick={() => {
            setOpen(open === 'docs' ? '' : 'docs');
          }}
        >
          ?
        </button>
        {widget !== 'python' || python ? (
          <button
            type="button"
            className="jp-casa-field-button"
            aria-pressed={python}
            aria-label={trans.__('Write %1 as Python', label)}
            title={trans.__('Write it as Python')}
            disabled={!writable}
            onClick={() => {
              setPython(!python);
              setDraft(null);
            }}
          >
            ƒ
          </button>
        ) : null}
        {text !== null && (
          <button
            type="button"
            className="jp-casa-field-button"
            aria-label={trans.__('Back to the default of %1', label)}
            title={trans.__('Back to the default: %1', preset)}
            disabled={!writable}
            onClick={() => {
              setDraft(null);
              write(parameter.name, null);
            }}
          >
            ↺
          </button>
        )}
      </div>
      <div className="jp-casa-field-row">
        {widget === 'bool' || widget === 'choice' ? (
          <select
            {...common}
            value={text ?? preset}
            onChange={event => {
              write(parameter.name, event.target.value);
            }}
          >
            {(widget === 'bool' ? ['True', 'False'] : choices).map(choice => (
              <option key={choice} value={choice}>
                {choice}
              </option>
            ))}
          </select>
        ) : (
          <input
            {...common}
            type="text"
            inputMode={widget === 'number' ? 'decimal' : undefined}
            data-widget={widget}
            placeholder={
              widget === 'text' && typeof parameter.default === 'string' ? parameter.default : preset
            }
            spellCheck={false}
            autoComplete="off"
            value={draft ?? shown}
            onChange={event => {
              setDraft(event.target.value);
            }}
            onBlur={() => {
              done(draft);
            }}
            onKeyDown={event => {
              if (event.key === 'Enter') {
                done(draft);
              } else if (event.key === 'Escape' && draft !== null) {
                setDraft(null);
                event.stopPropagation();
              }
            }}
          />
        )}
        {kind && (
          <button
            type="button"
            className="jp-casa-field-button"
            aria-label={trans.__('Choose %1 among the files', label)}
            title={trans.__('Choose among the files')}
            disabled={!writable}
            onClick={() => {
              void actions.pick(parameter, kind).then(path => {
                if (path === null) {
                  return;
                }
                const before = Array.isArray(read?.value) ? read.value : [];
                const value = list ? [...before, path] : path;
                write(
                  parameter.name,
                  list ? pythonOf(value, { quote: form.quote }) : form.asText(label, path)
                );
              });
            }}
          >
            …
          </button>
        )}
        {isOffered(parameter.name) && offers.length > 0 && widget === 'text' && (
          <button
            type="button"
            className="jp-casa-field-button"
            aria-expanded={open === 'offers'}
            aria-label={trans.__('Choose %1 from %2', label, form.measurementSet ?? '')}
            title={trans.__('Choose from %1', form.measurementSet ?? '')}
            disabled={!writable}
            onClick={() => {
              setOpen(open === 'offers' ? '' : 'offers');
            }}
          >
            ▾
          </button>
        )}
      </div>
      {open === 'offers' && (
        <fieldset className="jp-casa-field-offers">
          <legend>{trans.__('%1 in %2', label, form.measurementSet ?? '')}</legend>
          {offers.map(offer => {
            const now = typeof read?.value === 'string' ? read.value : '';
            return (
              <label key={offer.value}>
                <input
                  type="checkbox"
                  disabled={!writable}
                  checked={isSelected(now, offer)}
                  onChange={() => {
                    const next = toggled(now, offer);
                    write(
                      parameter.name,
                      next === '' && parameter.default === '' ? null : form.asText(label, next)
                    );
                  }}
                />
                {offer.label}
              </label>
            );
          })}
        </fieldset>
      )}
      <div id={`${id}-problem`} className="jp-casa-field-problem" role={problem ? 'alert' : undefined}>
        {problem && problemText(problem, trans)}
        {problem && draft !== null && ` ${trans.__('It is not written.')}`}
        {!problem &&
          absent &&
          trans.__('There is no such MeasurementSet below the server\u2019s directory (yet).')}
        {!problem && !field.applies && text !== null && trans.__('It has no effect here.')}
      </div>
      {open === 'docs' && (
        <div className="jp-casa-field-docs">
          <p>
            {parameter.summary} <em>{typesText(parameter, trans)}</em>
          </p>
          <Docs pieces={parameter.docs} />
        </div>
      )}
    </div>
  );
}

/** All parameters of a call. */
function Parameters({ state, actions }: { state: FormState; actions: IFieldActions }): ReactElement {
  const { form, trans } = actions;
  const [filter, setFilter] = useState('');
  const wanted = filter.trim().toLowerCase();
  const fields = form.fields.filter(
    field =>
      isShown(field) &&
      (wanted === '' ||
        field.parameter.name.toLowerCase().includes(wanted) ||
        field.parameter.summary.toLowerCase().includes(wanted))
  );
  const node = useRef<HTMLDivElement>(null);
  const target = state.target;
  useEffect(() => {
    if (target) {
      const shown = Array.from(node.current?.querySelectorAll<HTMLElement>('[data-parameter]') ?? []);
      const found = shown.find(({ dataset }) => dataset.parameter === target);
      found?.scrollIntoView({ block: 'center' });
      found?.querySelector<HTMLElement>('input, select')?.focus();
      state.reached();
    }
  }, [target, state]);
  return (
    <div ref={node}>
      <input
        className="jp-casa-form-filter"
        type="search"
        placeholder={trans.__('Filter parameters')}
        aria-label={trans.__('Show only parameters with this text')}
        value={filter}
        onChange={event => {
          setFilter(event.target.value);
        }}
      />
      {form.misfits.length > 0 && (
        <p className="jp-casa-form-note jp-mod-warn" role="alert">
          {trans.__('%1 has no such parameters: %2', form.task.name, form.misfits.join(', '))}
        </p>
      )}
      {form.spread && (
        <p className="jp-casa-form-note">
          {trans.__('There may be further arguments in what is given with **.')}
        </p>
      )}
      {fields.map(field => (
        <Field key={field.parameter.name} field={field} actions={actions} />
      ))}
    </div>
  );
}

/** What is to be seen. */
export function Form({ state, trans }: { state: FormState; trans: TranslationBundle }): ReactElement {
  const { task, form, trouble, readOnly } = state;
  const [tab, setTab] = useState<'form' | 'help'>('form');
  const id = useId();
  useEffect(() => {
    setTab(state.wantsHelp ? 'help' : 'form');
  }, [state.wantsHelp, task?.name]);
  if (trouble) {
    return <p className="jp-casa-form-note">{troubleText(trouble, trans)}</p>;
  }
  if (!task) {
    return (
      <p className="jp-casa-form-note">
        {state.hasNotebook
          ? trans.__('Put the cursor into a call of a task, or choose a task in the list at the left.')
          : trans.__('Open a notebook, and put the cursor into a call of a task.')}
      </p>
    );
  }
  const tabs: ['form' | 'help', string][] = [
    ['form', trans.__('Parameters')],
    ['help', trans.__('Help')]
  ];
  const actions: IFieldActions | null = form && {
    form,
    ms: state.measurementSet,
    writable: form.call.sound && !readOnly,
    write: (name, text) => {
      state.write(name, text);
    },
    pick: (parameter, kind) => state.pick(parameter, kind),
    trans
  };
  return (
    <>
      <div className="jp-casa-form-head">
        <code>{task.name}</code> <span>{task.summary}</span>
        <div role="tablist" aria-label={task.name}>
          {tabs.map(([name, label]) => (
            <button
              key={name}
              type="button"
              role="tab"
              id={`${id}-${name}`}
              aria-selected={tab === name}
              aria-controls={`${id}-panel`}
              tabIndex={tab === name ? 0 : -1}
              onClick={() => {
                setTab(name);
              }}
              onKeyDown={event => {
                if (event.key === 'ArrowLeft' || event.key === 'ArrowRight') {
                  const next = name === 'form' ? 'help' : 'form';
                  setTab(next);
                  document.getElementById(`${id}-${next}`)?.focus();
                }
              }}
            >
              {label}
            </button>
          ))}
        </div>
      </div>
      <div id={`${id}-panel`} className="jp-casa-form-body" role="tabpanel" aria-labelledby={`${id}-${tab}`}>
        {tab === 'help' ? (
          <TaskHelp
            bare={true}
            task={task}
            trans={trans}
            onInsert={text => {
              state.insert(text);
            }}
            onParameter={
              actions
                ? name => {
                    state.reach(name);
                    setTab('form');
                  }
                : undefined
            }
          />
        ) : actions ? (
          <>
            {!actions.form.call.sound && (
              <p className="jp-casa-form-note jp-mod-warn" role="alert">
                {trans.__('The call is no valid Python as it stands: correct it in the cell.')}
              </p>
            )}
            {readOnly && <p className="jp-casa-form-note">{trans.__('The notebook cannot be changed.')}</p>}
            <Parameters state={state} actions={actions} />
          </>
        ) : (
          <p className="jp-casa-form-note">
            {trans.__('The cursor is in no call of %1.', task.name)}{' '}
            <button
              type="button"
              className="jp-casa-link"
              onMouseDown={event => {
                event.preventDefault();
              }}
              onClick={() => {
                state.insert();
              }}
            >
              {trans.__('Insert one')}
            </button>
          </p>
        )}
      </div>
    </>
  );
}
