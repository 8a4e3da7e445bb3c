import './log.css';
import './marks.css';
