import './compare.css';
import './log.css';
import './logs.css';
import './marks.css';
import './products.css';
import './rerun.css';
import './tasks.css';
import './graph.css';
