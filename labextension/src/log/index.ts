import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { Widget } from '@lumino/widgets';
import { parseLog } from './model';
import { createCallView } from './view';

/** The MIME type of a task's log; the kernel sends it beside HTML and plain text. */
export const MIME_TYPE = 'application/vnd.casa.log+json';

/** Shows the log of a task call. */
export class LogRenderer extends Widget implements IRenderMime.IRenderer {
  constructor() {
    super();
    this.addClass('jp-RenderedCasaLog');
  }

  /** Shows a log, or says why it cannot. */
  renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const data: unknown = model.data[MIME_TYPE];
    let view: Node;
    try {
      view = createCallView(parseLog(data));
    } catch (error) {
      view = document.createTextNode(error instanceof Error ? error.message : String(error));
    }
    this.node.replaceChildren(view);
    return Promise.resolve();
  }
}

const extension: IRenderMime.IExtension = {
  id: 'jupyterlab-casa:log',
  description: 'Shows the log of a CASA task, filtered by priority and text.',
  rendererFactory: {
    safe: true, // shows text only, so an untrusted notebook may use it
    mimeTypes: [MIME_TYPE],
    createRenderer: () => new LogRenderer()
  },
  rank: 10, // before text/html (50), which every other viewer shows
  dataType: 'json'
};

export default extension;
