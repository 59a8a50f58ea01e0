;; SPDX-License-Identifier: GPL-3.0-or-later
;;
;; Services for the GNU Shepherd 1.0: `childhurdd', the daemon, and `childhurd', alias `hurd-vm', its guests. In the
;; configuration of root's shepherd, or of a user's:
;;
;;   (add-to-load-path "/usr/local/share/childhurd/guile")
;;   (use-modules (childhurd))
;;   (register-services (append (childhurd-services) (childhurd-guest-services '("childhurd1"))))
;;   (start-in-the-background '(childhurd))
;;
;; The guests outlive the daemon, and shepherd stops whatever requires a service before it stops or restarts that
;; service. So `childhurd' does not name `childhurdd' among its requirements: it starts the daemon itself, and `herd
;; restart childhurdd' leaves the guests alone. The one thing for which a requirement would be missed, the order in which
;; shepherd stops everything before it ends, is up to childhurdd's `stop': the guests first.
;;
;; Nothing here blocks shepherd: what waits is a fiber.

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

;; In seconds; the manual tells of them.
(define %ready-limit 30)      ;from the daemon's start until its socket answers
(define %end-limit 30)        ;from SIGTERM to SIGKILL, with which nothing is lost either
(define %stop-limit 300)      ;until guests are stopped whose builds are waited for, unless #:stop-limit says otherwise
(define %now-limit 300)       ;then, until they are stopped in spite of their builds
(define %proof-limit 60)      ;until a daemon that is started only to stop guests can log in to them
(define %respawn-limit '(5 . 300)) ;so many respawns of the daemon in so much time, unless #:respawn-limit says otherwise


;;;
;;; Commands.
;;;

(define (environment)
  "What shepherd gives its services, without what says that systemd has started shepherd."
  (remove (lambda (variable)
            (any (lambda (name) (string-prefix? name variable))
                 '("JOURNAL_STREAM=" "NOTIFY_SOCKET=")))
          (default-environment-variables)))

(define (control-command program socket)
  (cons program (if socket (list "--socket" socket) '())))

(define (relay port)
  "Write each line from PORT where this service's messages go: to the log, and to who waits at a terminal."
  (match (read-line port)
    ((? eof-object?) #t)
    (line
     (local-output "~a" line)
     (relay port))))

(define* (run command #:key quiet?)
  "Run COMMAND, a list of strings, and give its exit status; 255 if a signal ended it.  Unless QUIET?, pass on what it
says."
  (match (pipe O_CLOEXEC)
    ((input . output)
     ;; Only this end: what COMMAND writes shall not get lost in a full pipe.
     (non-blocking-port input)
     (set-port-encoding! input "UTF-8")
     (set-port-conversion-strategy! input 'substitute)
     (let-values (((pid end)
                   ;; A process started on behalf of the service would be taken for the service's own.
                   (parameterize ((current-service #f))
                     ;; Descriptors 1 and 2 are shepherd's, for its log.
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
  "Whether the daemon is there."
  (zero? (run (append control '("version")) #:quiet? #t)))


;;;
;;; The daemon.
;;;

(define (user-environment user)
  "What lets USER's daemon find the folders that root's would use."
  (append '("XDG_CONFIG_HOME=/etc" "XDG_STATE_HOME=/var/lib" "XDG_RUNTIME_DIR=/run")
          (remove (lambda (variable) (string-prefix? "XDG_" variable))
                  (user-environment-variables user (environment)))))

(define (alive? pid)
  (catch 'system-error
    (lambda () (kill pid 0) #t)
    (const #f)))

(define (await-answer process control)
  "PROCESS when the daemon that it is answers; #f when it has ended, or was ended as it did not answer in time."
  (define pid (process-id process))

  (let loop ((tries (* 10 %ready-limit)))
    (cond ((not (alive? pid))
           (local-output "childhurdd has ended at once; the log has its last words.")
           #f)
          ((answers? control)
           process)
          ((zero? tries)
           (local-output "childhurdd does not answer within ~a s." %ready-limit)
           (terminate-process pid SIGTERM #:grace-period %end-limit)
           #f)
          (else
           (wait 0.1)
           (loop (- tries 1))))))

(define (start-daemon launch control)
  "Give the daemon's `start'; LAUNCH gives its process."
  (lambda _
    (if (answers? control)
        (begin
          (local-output "A childhurdd answers already that shepherd did not start; end that one first.")
          #f)
        (await-answer (launch) control))))

;; The names of the services that are one guest each.
(define %guest-services '())

(define (services . names)
  "Those of NAMES that are registered; the last argument is a list, as apply's."
  (filter-map lookup-service (apply cons* names)))

(define (up? service)
  (memq (service-status service) '(starting running)))

(define (stop-those-up services)
  ;; Guile's filter cannot be left for another fiber.
  (for-each (lambda (service)
              (when (up? service)
                (stop-service service)))
            services))

(define (shutting-down?)
  (not (up? root-service)))

(define (stop-daemon process . _)
  (when (shutting-down?)
    (stop-those-up (services 'childhurd %guest-services)))
  ;; It alone: make-kill-destructor would end the qemu-img that is making a disk, too.
  (terminate-process (process-id process) SIGTERM #:grace-period %end-limit)
  #f)

(define (with-daemon proc)
  "Call PROC when childhurdd runs, for which it is started.  Give #f when it cannot be."
  (define daemon (lookup-service 'childhurdd))

  (cond ((not daemon)
         (local-output "There is no service childhurdd: (childhurd-services) has to be registered, too.")
         #f)
        ;; One that is being stopped answers until this has ended: see stop-daemon.
        ((eq? 'stopping (service-status daemon))
         (proc))
        (else
         (and (start-service daemon)
              (proc)))))

(define (reload-action control)
  (action 'reload
          (lambda _
            (zero? (run (append control '("reload")))))
          "Apply the configuration anew, and tell what has changed or what is wrong with it."))


;;;
;;; The guests.
;;;

(define all-guests '("--all"))

(define (guest-actions control guests)
  "What herd can do with GUESTS, words of childhurdctl's command line, beside starting and stopping them."
  (define (act verb documentation)
    (action verb
            (lambda _
              (zero? (run `(,@control ,(symbol->string verb) ,@guests))))
            documentation))

  (list (action 'status
                (lambda _
                  (run `(,@control "list" ,@(delete "--all" guests)))
                  (current-service))
                "Tell how the guests are, and then what shepherd tells of every service.")
        (act 'drain "Give the guests no new builds.")
        (act 'undrain "Give the guests builds again.")))

(define (start-guests control guests good)
  "Tell the daemon to start GUESTS; whether childhurdctl's exit status is among those that are GOOD."
  (with-daemon
   (lambda ()
     (->bool (memv (run `(,@control "start" ,@(if (equal? guests all-guests) '("--autostart") guests))) good)))))

(define (stop-guests control guests limit)
  "Stop GUESTS gracefully, and what is not stopped after LIMIT seconds with --now.  Give #f when they are stopped, as a
service's `stop' does."
  (define (stop limit . options)
    (zero? (run `(,@control "stop" ,@guests ,@options "--wait" "--timeout" ,(format #f "~as" limit)))))

  (define daemon (lookup-service 'childhurdd))
  (define alone? (and daemon (service-stopped? daemon)))
  (define stopped?
    (with-daemon
     (lambda ()
       ;; Who is not known to be ready cannot be halted, only turned off.
       (when alone?
         (run `(,@control "wait" ,@guests "--for" "ready" "--timeout" ,(format #f "~as" %proof-limit)) #:quiet? #t))
       (or (stop limit)
           (begin
             (local-output "Not stopped within ~a s: builds that still run are given up." limit)
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
                             (group user) ;without one, shepherd would leave it those of root
                             (supplementary-groups (if user '("kvm") '()))
                             (requirement '())
                             (environment-variables '())
                             (log-file #f)
                             (log-level #f)
                             (stop-limit %stop-limit)
                             (respawn-limit %respawn-limit))
  "Return the services `childhurdd' and `childhurd', alias `hurd-vm'.

DAEMON and CONTROL are the programs; CONFIGURATION and SOCKET files, where they are not in their usual places.  GUESTS
are the names, or patterns, of those that `childhurd' stands for; all without it.  The daemon runs as shepherd does, or
as USER, with GROUP, which has the same name if nothing is said, and SUPPLEMENTARY-GROUPS; its folders have to be there
then.  It gets ENVIRONMENT-VARIABLES in addition to shepherd's; it logs to LOG-FILE, or to shepherd's log, at LOG-LEVEL.  Both services have the REQUIREMENT.
Builds are waited for during STOP-LIMIT seconds when guests are stopped."
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
  "Return a service for each guest of NAMES, a list of strings: to start and stop it alone.  The keywords are those of
childhurd-services."
  (check "the argument" names names? "a list of guests' names")
  (check #:stop-limit stop-limit limit? "a number of seconds")
  (let ((tool (control-command control socket))
        (symbols (map string->symbol names)))
    (check "the argument" symbols (lambda (x) (null? (lset-intersection eq? x '(childhurd hurd-vm childhurdd))))
           "without the name of a service that there is already")
    (set! %guest-services (lset-union eq? %guest-services symbols))
    (map (lambda (name symbol)
           (service (list symbol)
                    #:documentation "Run a GNU/Hurd virtual machine: a childhurd."
                    #:start (lambda _ (start-guests tool (list name) '(0)))
                    #:stop (lambda _ (stop-guests tool (list name) stop-limit))
                    #:actions (guest-actions tool (list name))))
         names symbols)))
