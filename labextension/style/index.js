import './log.css';
import './marks.css';
import './compare.css';
import './rerun.css';
