;; SPDX-License-Identifier: GPL-3.0-or-later
;; Guile's reader, asked by a fuzzer (guile.h). Each line of stdin names a file, and what is in it comes back on stdout as LENGTH, a
;; newline and so many bytes. Nothing is evaluated: `machines' knows the one form that machines.scm has, in a file that is opened
;; as by primitive-load; `datum' takes any one, as a peer reads it from a socket.
(use-modules (ice-9 binary-ports) (ice-9 match) (ice-9 rdelim) (rnrs bytevectors))

(define (text-bytes text)
  (let ((bytes (string->utf8 text)))
    (list (string->utf8 (format #f "~a:" (bytevector-length bytes))) bytes)))

;; Nested: the pieces of what is said of a value.
(define (value-bytes value)
  (match value
    ((? string?) (text-bytes value))
    ((? symbol?) (list (string->utf8 "'") (text-bytes (symbol->string value))))
    ((? exact-integer?) (list (string->utf8 (format #f "i~a;" value))))
    ((? real?) (list (string->utf8 (format #f "r~a;" value))))
    (((? (const #t) values) ...) (list (string->utf8 "(") (map value-bytes values) (string->utf8 ")")))))

(define evaluate
  (match-lambda
    (('list elements ...) (map evaluate elements))
    (('build-machine ((? symbol? fields) values) ...) (map list fields (map evaluate values)))
    ((? string? text) text)
    ((? number? number) number)))

;; The one expression in a file; nothing may follow it.
(define (read-file file source?)
  (let* ((port (open-file file "r" #:guess-encoding source? #:encoding "UTF-8"))
         (first (read port))
         (second (read port)))
    (close-port port)
    (unless (eof-object? second)
      (error "something follows:" second))
    first))

(define (answer pieces)
  (let ((all (call-with-output-bytevector
              (lambda (port)
                (let loop ((pieces pieces))
                  (match pieces
                    ((? bytevector?) (put-bytevector port pieces))
                    (() #t)
                    ((first . rest) (loop first) (loop rest))))))))
    (put-bytevector (current-output-port) (string->utf8 (format #f "~a\n" (bytevector-length all))))
    (put-bytevector (current-output-port) all)
    (force-output)))

(let* ((source? (match (command-line)
                 ((_ "machines") #t)
                 ((_ "datum") #f)))
       (say (if source? (compose value-bytes evaluate) value-bytes)))
  (let loop ()
    (let ((file (read-line)))
      (unless (eof-object? file)
        (answer (catch #t
                  (lambda () (say (read-file file source?)))
                  (lambda (key . arguments)
                    (list (string->utf8 (format #f "error: ~s ~s" key arguments))))))
        (loop)))))
