;; SPDX-License-Identifier: GPL-3.0-or-later
;; secret-receiver.scm PORT WAIT: what the service 'secret-service-client' of a Guix childhurd does.
(use-modules (fibers) (gnu build secret-service) (ice-9 match))

(setvbuf (current-output-port) 'line)
(match (command-line)
  ((_ port wait)
   (exit (->bool
          (run-fibers
           (lambda ()
             (secret-service-receive-secrets
              (make-socket-address AF_INET INADDR_ANY (string->number port))
              #:timeout (string->number wait)))
           #:hz 0)))))
