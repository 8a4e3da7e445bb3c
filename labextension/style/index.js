import './compare.css';
import './log.css';
import './marks.css';
import './products.css';
import './rerun.css';
import './tasks.css';
