import './log.css';
