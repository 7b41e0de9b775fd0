package kvstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// JSON returns the codec that package encoding/json makes: its struct tags and
// its Marshaler and Unmarshaler hold. A value is one JSON text and nothing
// behind it; fields that T does not have are ignored, so that a program can
// read what a newer one wrote. Like that package it puts U+FFFD for what is
// not UTF-8 in a string: keep such bytes in a []byte.
//
// The text of its errors never shows the value; errors.As finds the error of
// encoding/json.
func JSON[T any]() Codec[T] { return jsonCodec[T]{} }

type jsonCodec[T any] struct{}

func (jsonCodec[T]) Append(dst []byte, v T) ([]byte, error) {
	text := bytes.NewBuffer(dst)
	enc := json.NewEncoder(text)
	enc.SetEscapeHTML(false) // it is no HTML, and would only be longer
	if err := enc.Encode(v); err != nil {
		return dst, &jsonError{fmt.Sprintf("%v cannot be written as JSON", reflect.TypeFor[T]()), err}
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
}

func (jsonCodec[T]) Decode(data []byte) (T, error) {
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		return *new(T), &jsonError{explainJSON(err, reflect.TypeFor[T]()), err}
	}
	return v, nil
}

// explainJSON says what is wrong without quoting from the value, as the errors
// of encoding/json and of a type's own UnmarshalJSON do.
func explainJSON(err error, want reflect.Type) string {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Sprintf("value is no JSON text, at byte %d", syntax.Offset)
	case errors.As(err, &kind) && kind.Field != "":
		return fmt.Sprintf("JSON value does not fit %v: field %s is no %v", want, clip(kind.Field), kind.Type)
	}
	return fmt.Sprintf("JSON value does not fit %v", want)
}

// jsonError is an error of encoding/json with a text of ours.
type jsonError struct {
	text string
	err  error
}

func (e *jsonError) Error() string { return e.text }
func (e *jsonError) Unwrap() error { return e.err }
