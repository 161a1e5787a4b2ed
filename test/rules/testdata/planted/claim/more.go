// Package claim has a second comment.
package claim
