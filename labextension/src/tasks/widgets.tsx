/** The list of tasks and the form as JupyterLab's widgets. */
import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget, UseSignal } from '@jupyterlab/ui-components';
import type { ReactElement } from 'react';
import { Form } from './form/form';
import type { FormState } from './form/state';
import { type IPaletteProps, Palette } from './palette';

/** The list of tasks as a widget. */
export class TaskPalette extends ReactWidget {
  constructor(private readonly _props: IPaletteProps) {
    super();
    this.addClass('jp-casa-palette-panel');
  }

  protected render(): ReactElement {
    const { catalogue, remembered } = this._props;
    return (
      <UseSignal signal={catalogue.changed}>
        {() => <UseSignal signal={remembered.changed}>{() => <Palette {...this._props} />}</UseSignal>}
      </UseSignal>
    );
  }

  protected onActivateRequest(): void {
    this.node.querySelector('input')?.focus();
  }
}

/** The form as a widget. */
export class TaskFormPanel extends ReactWidget {
  constructor(
    private readonly _state: FormState,
    private readonly _trans: TranslationBundle
  ) {
    super();
    this.addClass('jp-casa-form');
  }

  protected render(): ReactElement {
    return (
      <UseSignal signal={this._state.changed}>
        {() => <Form state={this._state} trans={this._trans} />}
      </UseSignal>
    );
  }

  protected onAfterShow(): void {
    this._state.wanted = true;
  }

  protected onBeforeHide(): void {
    this._state.wanted = false;
  }

  protected onActivateRequest(): void {
    this.node.querySelector<HTMLElement>('[role=tab][aria-selected=true]')?.focus();
  }
}
