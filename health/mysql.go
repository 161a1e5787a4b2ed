package health

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// MySQL connects anew each time, and asks whether the server may be written to, or a question of the operator's.
type MySQL struct {
	dsn      *mysql.Config
	readOnly *bool
	query    string
	expect   string
}

// MySQLOptions are what a [MySQL] check asks.
type MySQLOptions struct {
	DSN      string // a secret: user:password@tcp(127.0.0.1:3306)/
	ReadOnly *bool  // what @@global.read_only must be; nil: anything
	Query    string // one that returns a row; empty: none
	Expect   string // its first column; empty: a row is enough
}

// NewMySQL refuses what can't be a server's address, without repeating it.
func NewMySQL(o MySQLOptions) (MySQL, error) {
	c, err := mysql.ParseDSN(o.DSN)
	if err != nil {
		return MySQL{}, errors.New("the DSN is not one; write user:password@tcp(127.0.0.1:3306)/ or user:password@unix(/run/mysqld/mysqld.sock)/")
	}
	c.Logger = &mysql.NopLogger{}
	return MySQL{dsn: c, readOnly: o.ReadOnly, query: o.Query, expect: o.Expect}, nil
}

func (p MySQL) Probe(ctx context.Context) error {
	connector, err := mysql.NewConnector(p.dsn)
	if err != nil {
		return errors.New("the DSN is not one")
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	if err := db.PingContext(ctx); err != nil {
		return err
	}
	if p.readOnly != nil {
		var says string // 0 or 1; newer servers have words, of which all but OFF refuse writes
		if err := db.QueryRowContext(ctx, "SELECT @@global.read_only").Scan(&says); err != nil {
			return fmt.Errorf("read_only: %w", err)
		}
		on := says != "0" && !strings.EqualFold(says, "OFF")
		if on != *p.readOnly {
			return fmt.Errorf("read_only is %t", on)
		}
	}
	return p.ask(ctx, db)
}

// ask puts the operator's question.
func (p MySQL) ask(ctx context.Context, db *sql.DB) error {
	if p.query == "" {
		return nil
	}
	rows, err := db.QueryContext(ctx, p.query)
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	if len(columns) == 0 || !rows.Next() {
		return errors.Join(errors.New("the query returned no row"), rows.Err())
	}
	values := make([]any, len(columns))
	for i := range values {
		values[i] = new(sql.RawBytes)
	}
	if err := rows.Scan(values...); err != nil {
		return fmt.Errorf("query: %w", err)
	}
	if got := string(*values[0].(*sql.RawBytes)); p.expect != "" && got != p.expect {
		return fmt.Errorf("the query returned %.40q, not %q", got, p.expect)
	}
	return nil
}
