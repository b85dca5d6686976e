package master

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
)

// Limits of the log file: one that is full becomes the older one, and the one that
// was older goes.
const (
	logFileName = "master.log"
	maxLogFile  = 64 << 20 // bytes
)

// logFile is a log of bounded size, which operators read through the API as
// /master/log (reference row OP1-07). Its methods are safe for concurrent use.
type logFile struct {
	path string
	most int64

	mu   sync.Mutex // protects the fields below
	file *os.File
	size int64
}

// openLog opens the log in a directory, which is made if it is not there.
func openLog(dir string) (*logFile, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("--log_dir %s cannot be made: %w", dir, err)
	}
	l := &logFile{path: filepath.Join(dir, logFileName), most: maxLogFile}
	return l, l.open()
}

func (l *logFile) open() error {
	file, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return fmt.Errorf("open the log: %w", err)
	}
	l.file, l.size = file, info.Size()
	return nil
}

// Write implements io.Writer.
func (l *logFile) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size+int64(len(line)) > l.most {
		if err := l.turn(); err != nil {
			return 0, err
		}
	}
	n, err := l.file.Write(line)
	l.size += int64(n)
	return n, err
}

// turn begins a new file.
func (l *logFile) turn() error {
	if err := l.file.Close(); err != nil {
		return err
	}
	if err := os.Rename(l.path, l.path+".1"); err != nil {
		return err
	}
	return l.open()
}

// Close closes the file.
func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}

// logTo adds a file to a log. Both have the same least level.
func logTo(log *slog.Logger, file *logFile, least slog.Leveler) *slog.Logger {
	return slog.New(slog.NewMultiHandler(log.Handler(), slog.NewTextHandler(file, &slog.HandlerOptions{Level: least})))
}

// logs is what openLogs opened.
type logs struct{ file *logFile }

// files are the files to show to operators, by virtual path.
func (l logs) files() map[string]string {
	if l.file == nil {
		return map[string]string{}
	}
	return map[string]string{"/master/log": l.file.path}
}

func (l logs) close() {
	if l.file != nil {
		l.file.Close()
	}
}

// openLogs completes what the configuration says of logs, and adds the file to the log.
func openLogs(c *Config, log *slog.Logger) (*slog.Logger, logs, error) {
	if c.LogLevel == nil {
		c.LogLevel = &slog.LevelVar{}
	}
	if c.LogDir == "" && c.WorkDir != "" {
		c.LogDir = filepath.Join(c.WorkDir, "log")
	}
	if c.LogDir == "" {
		return log, logs{}, nil
	}
	file, err := openLog(c.LogDir)
	if err != nil {
		return nil, logs{}, err
	}
	return logTo(log, file, c.LogLevel), logs{file}, nil
}
