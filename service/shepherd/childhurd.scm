;; SPDX-License-Identifier: GPL-3.0-or-later
;;
;; Services for the GNU Shepherd 1.0: `childhurdd', the daemon, and `childhurd', alias `hurd-vm', its guests. In the
;; configuration of root's shepherd, or of a user's own:
;;
;;   (add-to-load-path "/usr/local/share/childhurd/guile")
;;   (use-modules (childhurd))
;;   (register-services (append (childhurd-services) (childhurd-guest-services '("childhurd1"))))
;;   (start-in-the-background '(childhurd))
;;
;; The guests outlive the daemon. Before shepherd stops or restarts a service, it stops all services that require it. So
;; `childhurd' does not require `childhurdd': it starts the daemon itself, and `herd restart childhurdd' leaves the guests
;; alone. A requirement would have one use: the order in which shepherd stops all services before it ends. There the
;; `stop' of childhurdd stops the guests first.
;;
;; Nothing here blocks shepherd: code that waits runs in a fiber.

(define-module (childhurd)
  #:use-module ((fibers) #:select ((sleep . wait)))
  #:use-module (fibers channels)
  #:use-module (ice-9 match)
  #:use-module (ice-9 rdelim)
  #:use-module (shepherd service)
  #:use-module ((shepherd support) #:select (local-output non-blocking-port))
  #:use-module (srfi srfi-1)
  #:use-module (srfi srfi-11)
  #:export (childhurd-services
            childhurd-guest-services))

;; In seconds; the table of limits in the documentation has them.
(define %ready-limit 30)      ;from the daemon's start until its socket answers
(define %end-limit 30)        ;from SIGTERM to SIGKILL, which loses nothing either
(define %stop-limit 300)      ;for guests to stop once their builds have ended; the default of #:stop-limit
(define %now-limit 300)       ;after that, for guests to stop with --now
(define %proof-limit 60)      ;for a daemon that is started only to stop guests, to log in to them
(define %respawn-limit '(5 . 300)) ;respawns of the daemon, in that time; the default of #:respawn-limit


;;;
;;; Commands.
;;;

(define (environment)
  "The environment that shepherd gives its services, without the variables of a systemd that started shepherd."
  (remove (lambda (variable)
            (any (lambda (name) (string-prefix? name variable))
                 '("JOURNAL_STREAM=" "NOTIFY_SOCKET=")))
          (default-environment-variables)))

(define (control-command program socket)
  (cons program (if socket (list "--socket" socket) '())))

(define (relay port)
  "Pass each line from PORT on to this service's messages: to the log, and to the terminal of a waiting herd."
  (match (read-line port)
    ((? eof-object?) #t)
    (line
     (local-output "~a" line)
     (relay port))))

(define* (run command #:key quiet?)
  "Run COMMAND, a list of strings, and return its exit status; 255 if a signal ended it.  Unless QUIET?, pass on its
output."
  (match (pipe O_CLOEXEC)
    ((input . output)
     ;; Only this end: with a non-blocking end of its own, COMMAND would lose output when the pipe is full.
     (non-blocking-port input)
     (set-port-encoding! input "UTF-8")
     (set-port-conversion-strategy! input 'substitute)
     (let-values (((pid end)
                   ;; Otherwise shepherd would take the process for the service's own.
                   (parameterize ((current-service #f))
                     ;; Shepherd connects descriptors 1 and 2 to its log.
                     (start-command (cons* "/bin/sh" "-c" "exec \"$@\" >&3 2>&3 3>&-" "sh" command)
                                    #:extra-ports (list output)
                                    #:environment-variables (environment)))))
       (close-port output)
       (if quiet?
           (read-string input)
           (relay input))
       (close-port input)
       (or (status:exit-val (get-message end)) 255)))))

(define (answers? control)
  "Whether the daemon answers."
  (zero? (run (append control '("list")) #:quiet? #t)))


;;;
;;; The daemon.
;;;

(define (user-environment user)
  "The environment with which USER's daemon uses the same folders as root's."
  (append '("XDG_CONFIG_HOME=/etc" "XDG_STATE_HOME=/var/lib" "XDG_RUNTIME_DIR=/run")
          (remove (lambda (variable) (string-prefix? "XDG_" variable))
                  (user-environment-variables user (environment)))))

(define (alive? pid)
  (catch 'system-error
    (lambda () (kill pid 0) #t)
    (const #f)))

(define (await-answer process control)
  "Return PROCESS, the daemon's, once the daemon answers.  Return #f if it has ended; if it does not answer in time, end
it and return #f."
  (define pid (process-id process))

  (let loop ((tries (* 10 %ready-limit)))
    (cond ((not (alive? pid))
           (local-output "childhurdd has ended at once; its last messages, in the log, say why.")
           #f)
          ((answers? control)
           process)
          ((zero? tries)
           (local-output "childhurdd did not answer within ~a s, and is ended; see its log." %ready-limit)
           (terminate-process pid SIGTERM #:grace-period %end-limit)
           #f)
          (else
           (wait 0.1)
           (loop (- tries 1))))))

(define (start-daemon launch control)
  "Return the daemon's `start'; LAUNCH returns the daemon's process."
  (lambda _
    (if (answers? control)
        (begin
          (local-output "A childhurdd runs already that shepherd did not start; end that one first.")
          #f)
        (await-answer (launch) control))))

;; The names of the services that are one guest each.
(define %guest-services '())

(define (services . names)
  "Return the registered ones of NAMES; the last argument is a list, as with apply."
  (filter-map lookup-service (apply cons* names)))

(define (up? service)
  (memq (service-status service) '(starting running)))

(define (stop-those-up services)
  ;; Not with Guile's filter: stop-service waits, and a fiber cannot wait inside filter.
  (for-each (lambda (service)
              (when (up? service)
                (stop-service service)))
            services))

(define (shutting-down?)
  (not (up? root-service)))

(define (stop-daemon process . _)
  (when (shutting-down?)
    (stop-those-up (services 'childhurd %guest-services)))
  ;; Only the daemon: make-kill-destructor would also end a qemu-img that is making a disk.
  (terminate-process (process-id process) SIGTERM #:grace-period %end-limit)
  #f)

(define (with-daemon proc)
  "Start childhurdd if it does not run, and call PROC.  Return #f if it cannot be started."
  (define daemon (lookup-service 'childhurdd))

  (cond ((not daemon)
         (local-output "There is no service childhurdd; register (childhurd-services), too.")
         #f)
        ;; A daemon that is being stopped answers until the guests are stopped: see stop-daemon.
        ((eq? 'stopping (service-status daemon))
         (proc))
        (else
         (and (start-service daemon)
              (proc)))))

(define (reload-action control)
  (action 'reload
          (lambda _
            (zero? (run (append control '("reload")))))
          "Read and apply the configuration again, and print what has changed or what is wrong."))


;;;
;;; The guests.
;;;

(define all-guests '("--all"))

(define (guest-actions control guests)
  "Return the actions of herd for GUESTS, words of childhurdctl's command line, beside start and stop."
  (define* (act name documentation #:optional (verb (symbol->string name)) . options)
    (action name
            (lambda _
              (zero? (run `(,@control ,verb ,@guests ,@options))))
            documentation))

  (list (action 'status
                (lambda _
                  (run `(,@control "list" ,@(delete "--all" guests)))
                  (current-service))
                "Show the guests, and then what shepherd shows of every service.")
        (act 'drain "Give the guests no new builds.")
        (act 'undrain "Give the guests builds again.")
        (act 'sleep "Put the guests to sleep once no build runs in them; a connection wakes them.")
        (act 'reset "Make the guests as new once no build runs in them, by their warm states or new disks.")
        (act 'reset-cold "Likewise, and discard the warm states, so that the guests boot." "reset" "--cold")))

(define (start-guests control guests good)
  "Let the daemon start GUESTS, and return whether childhurdctl's exit status is one of GOOD."
  (with-daemon
   (lambda ()
     (->bool (memv (run `(,@control "start" ,@(if (equal? guests all-guests) '("--autostart") guests))) good)))))

(define (stop-guests control guests limit)
  "Stop GUESTS gracefully, and those that run after LIMIT seconds with --now.  Return #f if they are stopped, as a
service's `stop' does."
  (define (stop limit . options)
    (or (zero? (run `(,@control "stop" ,@guests ,@options "--wait" "--timeout" ,(format #f "~as" limit))))
        ;; With a full disk they are stopped, too, and the status only says that this is not kept.
        (zero? (run `(,@control "wait" ,@guests "--for" "stopped" "--timeout" "1s") #:quiet? #t))))

  (define daemon (lookup-service 'childhurdd))
  (define alone? (and daemon (service-stopped? daemon)))
  (define stopped?
    (with-daemon
     (lambda ()
       ;; The daemon can halt a guest only once it is ready; before that it can only turn it off.
       (when alone?
         (run `(,@control "wait" ,@guests "--for" "ready" "--timeout" ,(format #f "~as" %proof-limit)) #:quiet? #t))
       (or (stop limit)
           (begin
             (local-output "Not stopped within ~a s; stopping in spite of running builds, which are lost." limit)
             (stop %now-limit "--now"))))))

  (when (and alone? (up? daemon))
    (stop-service daemon))
  (not stopped?))

(define (check keyword value good? expected)
  "Refuse VALUE, given for KEYWORD, unless it is GOOD?."
  (unless (good? value)
    (error (format #f "childhurd: ~a is not ~a:" keyword expected) value)))

(define (string-or-not? x) (or (not x) (string? x)))
(define (limit? x) (and (integer? x) (exact? x) (positive? x)))
(define (names? x) (and (pair? x) (list? x) (every string? x)))

(define* (childhurd-services #:key
                             (daemon "childhurdd")
                             (control "childhurdctl")
                             (configuration #f)
                             (socket #f)
                             (guests #f)
                             (user #f)
                             (group user) ;without a group, shepherd would leave root's
                             (supplementary-groups (if user '("kvm") '()))
                             (requirement '())
                             (environment-variables '())
                             (log-file #f)
                             (log-level #f)
                             (stop-limit %stop-limit)
                             (respawn-limit %respawn-limit))
  "Return the services `childhurdd' and `childhurd', alias `hurd-vm'.

DAEMON and CONTROL are the programs; CONFIGURATION and SOCKET are files, if not in their usual places.  GUESTS are the
names, or patterns, of the guests that `childhurd' starts and stops; #f stands for all.  The daemon runs as the same user
as shepherd, or as USER with GROUP, by default of the same name, and SUPPLEMENTARY-GROUPS; then its folders must exist.
It gets ENVIRONMENT-VARIABLES in addition to shepherd's, and logs to LOG-FILE, or to shepherd's log, at LOG-LEVEL.  Both
services have the REQUIREMENT.  When guests are stopped, running builds get STOP-LIMIT seconds to end."
  (check #:daemon daemon string? "a program")
  (check #:control control string? "a program")
  (check #:configuration configuration string-or-not? "a file's name")
  (check #:socket socket string-or-not? "a file's name")
  (check #:group group (lambda (x) (eq? (not x) (not user))) "there when #:user is, and only then")
  (check #:guests guests (lambda (x) (or (not x) (names? x))) "a list of guests' names")
  (check #:stop-limit stop-limit limit? "a number of seconds")
  (let* ((tool (control-command control socket))
         (followers (if guests (const '()) (lambda () (services %guest-services))))
         (guests (or guests all-guests)))
    (list (service '(childhurdd)
                   #:documentation "Run childhurdd, which boots and watches GNU/Hurd virtual machines. They outlive it."
                   #:requirement requirement
                   #:respawn? #t
                   #:respawn-limit respawn-limit
                   #:respawn-delay 1
                   #:start (start-daemon
                            (lambda ()
                              ((make-forkexec-constructor
                                `(,daemon
                                  ,@(if configuration `("--config" ,configuration) '())
                                  ,@(if log-level `("--log-level" ,log-level) '()))
                                #:user user
                                #:group group
                                #:supplementary-groups supplementary-groups
                                #:environment-variables
                                (append environment-variables
                                        (if user (user-environment user) (environment)))
                                #:log-file log-file)))
                            tool)
                   #:stop stop-daemon
                   #:actions (list (reload-action tool)))
          (service '(childhurd hurd-vm)
                   #:documentation "Run GNU/Hurd virtual machines: childhurds."
                   #:requirement requirement
                   #:start (lambda _
                             (and (start-guests tool guests '(0 1))
                                  (begin
                                    (for-each start-service (followers))
                                    #t)))
                   #:stop (lambda _
                            (let ((failed? (stop-guests tool guests stop-limit)))
                              (stop-those-up (followers))
                              failed?))
                   #:actions (guest-actions tool guests)))))

(define* (childhurd-guest-services names #:key
                                   (control "childhurdctl")
                                   (socket #f)
                                   (stop-limit %stop-limit))
  "Return a service for each guest of NAMES, a list of strings, which starts and stops that guest alone.  The keywords
are those of childhurd-services."
  (check "the argument" names names? "a list of guests' names")
  (check #:stop-limit stop-limit limit? "a number of seconds")
  (let ((tool (control-command control socket))
        (symbols (map string->symbol names)))
    (check "the argument" symbols (lambda (x) (null? (lset-intersection eq? x '(childhurd hurd-vm childhurdd))))
           "without the names childhurd, hurd-vm and childhurdd, which other services have")
    (set! %guest-services (lset-union eq? %guest-services symbols))
    (map (lambda (name symbol)
           (service (list symbol)
                    #:documentation "Run a GNU/Hurd virtual machine: a childhurd."
                    #:start (lambda _ (start-guests tool (list name) '(0)))
                    #:stop (lambda _ (stop-guests tool (list name) stop-limit))
                    #:actions (guest-actions tool (list name))))
         names symbols)))
