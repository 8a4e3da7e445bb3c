/** List and comparison as JupyterLab's widgets. */
import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget, UseSignal } from '@jupyterlab/ui-components';
import type { ReactElement } from 'react';
import { Comparison } from './comparison';
import type { Differences } from './differences';
import type { ProductsModel } from './model';
import { type IChoice, type IProductActions, ProductsPanel } from './panel';

/** The list of data products. */
export class ProductsWidget extends ReactWidget {
  constructor(
    private readonly _model: ProductsModel,
    private readonly _actions: IProductActions,
    private readonly _trans: TranslationBundle
  ) {
    super();
    this.addClass('jp-casa-products-panel');
  }

  /** What is chosen; null: nothing. */
  choice: IChoice | null = null;

  protected render(): ReactElement {
    return (
      <UseSignal signal={this._model.changed}>
        {() => (
          <ProductsPanel
            // What was chosen in another workspace is nothing here.
            key={this._model.path}
            model={this._model}
            actions={this._actions}
            onChoice={choice => {
              this.choice = choice;
            }}
            trans={this._trans}
          />
        )}
      </UseSignal>
    );
  }

  protected onAfterShow(): void {
    this._model.wanted = true;
  }

  protected onBeforeHide(): void {
    this._model.wanted = false;
  }

  protected onActivateRequest(): void {
    this.node.querySelector<HTMLElement>('[role=tree]')?.focus();
  }
}

/** Two versions beside each other. */
export class ComparisonWidget extends ReactWidget {
  constructor(
    readonly differences: Differences,
    private readonly _trans: TranslationBundle
  ) {
    super();
    this.addClass('jp-casa-versions-panel');
  }

  protected render(): ReactElement {
    return (
      <UseSignal signal={this.differences.changed}>
        {() => <Comparison differences={this.differences} trans={this._trans} />}
      </UseSignal>
    );
  }

  protected onActivateRequest(): void {
    this.node.querySelector<HTMLElement>('select')?.focus();
  }
}
