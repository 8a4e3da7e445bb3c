/** The worker in which graphs are laid out. */
import { type ILayoutRequest, layOut } from './layout';

const scope = self as unknown as IScope;

/** What a worker knows of who asks it. */
interface IScope {
  onmessage: (event: MessageEvent<{ id: number; request: ILayoutRequest }>) => void;
  postMessage(answer: unknown): void;
}

scope.onmessage = ({ data: { id, request } }) => {
  scope.postMessage({ id, layout: layOut(request) });
};
