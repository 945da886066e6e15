"""The guest's tests: shell scripts in the guest, with $w for the CLI on the guest's default roots."""
import dataclasses


@dataclasses.dataclass
class Case:
    name: str
    script: str
    full_only: bool = False
    security: str = "apparmor"  # the module that the kernel is booted with


PRELUDE = r"""
set -e
modprobe -a overlay bridge veth nf_tables nft_chain_nat nft_masq br_netfilter 2>/dev/null || true
modprobe overlay
# Helpers run with a fixed environment: their libraries go where the loader looks.
for f in /payload/lib/*; do [ -e /lib/x86_64-linux-gnu/${f##*/} ] || cp -L $f /usr/local/lib/; done
ldconfig
cat > /payload/env <<'END'
export PATH=/payload:$PATH
w=/payload/wherry
equal() { [ "$1" = "$2" ] || { echo "is '$1', expected '$2'"; exit 1; }; }
# The cgroup folder of a container on the host's hierarchy.
group() { local pid; pid=$($w inspect -f '{{.State.Pid}}' "$1"); echo "/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/$pid/cgroup)"; }
oci=/payload/wherry-oci
# A bundle at $1 that executes the words behind it ("sleep","1000"), with the resources in $limits.
bundle() {
  local folder=$1; shift
  mkdir -p $folder/rootfs
  tar -xf /payload/busybox.tar -C $folder/rootfs
  $oci spec -b $folder
  sed -i "s/\"terminal\": true/\"terminal\": false/; s/\"sh\"/$1/; s/\"resources\": {/&$limits/; s/\"readonly\": true/\"readonly\": false/" $folder/config.json
}
END
. /payload/env
$w import /payload/busybox.tar busybox:test
"""

CASES = [
    Case("run gives output and exit code on kernel 6.1", r"""
equal "$($w run --rm busybox:test echo hello)" hello
code=0; $w run --rm busybox:test sh -c 'exit 5' || code=$?
equal $code 5
equal "$($w ps -aq)" ""
echo good
"""),
    Case("memory, cpu and pids limits are written on cgroup v2", r"""
$w run -d --name limited -m 64m --cpus 0.5 --pids-limit 30 busybox:test sleep 1000
g=$(group limited)
equal "$(cat $g/memory.max)" 67108864
equal "$(cat $g/memory.swap.max)" 67108864
equal "$(cat $g/cpu.max)" "50000 100000"
equal "$(cat $g/pids.max)" 30
equal "$($w exec limited cat /sys/fs/cgroup/memory.max)" 67108864
$w rm -f limited
[ ! -e "$g" ]
echo good
"""),
    Case("the cgroup namespace is private on cgroup v2", r"""
equal "$($w run --rm busybox:test cat /proc/self/cgroup)" 0::/
echo good
"""),
    Case("too much memory is an OOM kill that inspect tells", r"""
code=0; $w run --name hungry -m 16m busybox:test sh -c 'head -c 200m /dev/zero | tail' || code=$?
[ $code != 0 ]
equal "$($w inspect -f '{{.State.OOMKilled}}' hungry)" true
$w rm -f hungry
echo good
"""),
    Case("devices outside the list are refused by the device program", r"""
code=0; $w run --rm busybox:test sh -c 'mknod /tmp/d b 254 0 && cat /tmp/d' || code=$?
equal $code 1
$w run --rm busybox:test sh -c 'head -c 1 /dev/zero >/dev/null && echo x >/dev/null'
echo good
"""),
    Case("exec, stop, start, logs and rm work under kernel 6.1", r"""
$w run -d --name web busybox:test sh -c 'echo started; trap "exit 3" TERM; while :; do sleep 0.1; done'
equal "$($w exec web sh -c 'echo $((1+1))')" 2
$w stop web
equal "$($w inspect -f '{{.State.ExitCode}}' web)" 3
$w start web
equal "$($w inspect -f '{{.State.Running}}' web)" true
$w logs web | grep -c started | grep -qx 2
$w rm -f web
echo good
"""),
    Case("a bridged container has an address and a published port answers", r"""
$w run -d --name server -p 127.0.0.1:8080:80 busybox:test sh -c 'while :; do echo answer | nc -l -p 80; done'
for i in $(seq 100); do out=$(timeout 5 bash -c 'exec 3<>/dev/tcp/127.0.0.1/8080 && cat <&3' 2>/dev/null) && [ -n "$out" ] && break; sleep 0.1; done
equal "$out" answer
$w rm -f server
echo good
"""),
    Case("containers outlive the service that started them", r"""
systemd-run --wait -p LogLevelMax=err $w run -d --name free busybox:test sleep 1000
equal "$($w inspect -f '{{.State.Running}}' free)" true
$w rm -f free
echo good
"""),
    # Overlay mounts by the old system call, copies of mounts that nobody sees: other ways than on newer kernels.
    Case("a build runs, copies and unpacks", r"""
mkdir -p /root/context/folder && cd /root/context
echo one > folder/file && ln -s file folder/link && mkdir deep && echo two > deep/inside && tar -czf local.tar.gz deep
cat > Dockerfile <<'END'
FROM busybox:test AS first
RUN --mount=type=cache,target=/cache echo made > /made && echo kept > /cache/kept
RUN chmod 600 /made && rm /etc/passwd
FROM busybox:test
RUN true
COPY --chown=7:8 folder /copied/
ADD local.tar.gz /unpacked/
ADD folder/file /added
COPY --from=first /made /taken
COPY --from=busybox:test /bin/busybox /second
RUN --mount=type=bind,from=first,target=/other [ ! -e /other/etc/passwd ] && cat /other/made > /bound
WORKDIR /copied
CMD ["cat", "file", "link", "/unpacked/deep/inside", "/added", "/taken", "/bound"]
END
$w build -q -t built . > /root/id
equal "$($w run --rm built | tr '\n' ' ')" "one one two one made made "
equal "$($w run --rm built stat -c '%u %g' /copied/file)" "7 8"
equal "$($w run --rm built stat -c %a /taken)" 600
equal "$($w build -q -t again .)" "$(cat /root/id)"
equal "$(ls /var/lib/wherry/incoming)" ""
echo good
"""),
    Case("a failing step says which and leaves nothing", r"""
printf 'FROM busybox:test\nCOPY . /all\nRUN exit 7\n' > /root/context/broken
code=0; out=$($w build -f /root/context/broken /root/context 2>&1) || code=$?
equal $code 1
echo "$out" | grep -q 'exit code: 7'
equal "$(ls /var/lib/wherry/incoming)" ""
echo good
"""),
    Case("an image goes to a registry and comes back", r"""
wherry-registry serve --addr 127.0.0.1:5000 --root /root/registry > /root/registry.log 2>&1 &
server=$!; trap "kill $server" EXIT
for i in $(seq 100); do (exec 3<>/dev/tcp/127.0.0.1/5000) 2>/dev/null && break; sleep 0.1; done
$w tag built 127.0.0.1:5000/team/built
$w push -q 127.0.0.1:5000/team/built
id=$($w inspect -f '{{.Id}}' built)
$w rmi -f 127.0.0.1:5000/team/built built again
$w builder prune -af
$w pull -q 127.0.0.1:5000/team/built
equal "$($w inspect -f '{{.Id}}' 127.0.0.1:5000/team/built)" "$id"
equal "$($w run --rm 127.0.0.1:5000/team/built cat /bound)" made
$w save 127.0.0.1:5000/team/built > /root/saved.tar
$w rmi -f 127.0.0.1:5000/team/built
$w load -q -i /root/saved.tar
equal "$($w run --rm 127.0.0.1:5000/team/built cat /unpacked/deep/inside)" two
$w rmi 127.0.0.1:5000/team/built
echo good
"""),
    # No data-only layers below kernel 6.16: containers stand on links into the farm, or on the layers.
    Case("the store's rungs below erofs show the same tree on kernel 6.1", r"""
export WHERRY_EXPECTED_RUNG=farm
timeout 110 /payload/kernel_store --gtest_filter='LadderTest.*:Ladder/RungTest.Shows*/farm:Ladder/RungTest.Every*/farm:Ladder/RungTest.Shows*/layers:CheckoutTest.Layers*' > /root/rungs 2>&1 || { tail -40 /root/rungs; exit 1; }
grep -q 'PASSED' /root/rungs
code=0; out=$(/payload/kernel_store --gtest_filter='Ladder/RungTest.Shows*/erofs' 2>&1) || code=$?
equal $code 1
echo "$out" | grep -q "cannot make a file system of type 'erofs'\|no file system 'erofs'"
echo good
"""),
    Case("damage in a checkout is found and made good on kernel 6.1", r"""
printf 'FROM busybox:test\nRUN echo right > /file\n' | $w build -q -t marked -
equal "$($w run --rm marked cat /file)" right
root=$($w info -f '{{.DockerRootDir}}')
file=$(ls $root/trees/*.farm/file)
touch -r $file /root/time
printf 'wrong\n' > $file
touch -r /root/time $file
code=0; out=$($w fsck --quick) || code=$?
equal $code 1
echo "$out" | grep -q "'file' has another content"
equal "$($w run --rm marked cat /file)" right
$w fsck
ls $root/trees/*.farm.aside.* > /dev/null
$w rmi marked
echo good
"""),
    Case("pause freezes on cgroup v2 and unpause thaws", r"""
$w run -d --name ticking busybox:test sh -c 'while :; do echo tick >> /ticks; sleep 0.01; done'
g=$(group ticking)
$w pause ticking
equal "$(cat $g/cgroup.freeze)" 1
equal "$($w inspect -f '{{.State.Status}}' ticking)" paused
before=$(cat /proc/$($w inspect -f '{{.State.Pid}}' ticking)/root/ticks | wc -l); sleep 0.3
equal "$(cat /proc/$($w inspect -f '{{.State.Pid}}' ticking)/root/ticks | wc -l)" $before
$w unpause ticking
for i in $(seq 100); do [ "$($w exec ticking wc -l /ticks | cut -d' ' -f1)" -gt "$before" ] && break; sleep 0.1; done
[ "$($w exec ticking wc -l /ticks | cut -d' ' -f1)" -gt "$before" ]
$w rm -f ticking
echo good
"""),
    Case("commit freezes on cgroup v2; commit and diff are right after chmod, rename and hard link", r"""
$w run -d --name worker busybox:test sh -c 'i=0; while :; do i=$((i+1)); for f in a b; do echo $i > /t; mv /t /$f; done; done'
$w exec worker sh -c 'chmod 600 /etc/group; mv /home/web /home/moved; ln /bin/busybox /copy; rm -r /root; mkdir /root'
equal "$($w diff worker | grep -v '^A /[abt]$' | tr '\n' ' ')" \
    "A /copy C /etc C /etc/group C /home A /home/moved D /home/web C /root "
image=$($w commit worker made:1)
equal "$($w inspect -f '{{.State.Status}}' worker)" running
equal "$(cat $(group worker)/cgroup.freeze)" 0
$w run --rm made:1 sh -c '[ $(($(cat /a) - $(cat /b))) -lt 2 ] && [ -d /home/moved ] && [ ! -e /home/web ] && stat -c %a /etc/group' > /root/out
equal "$(cat /root/out)" 600
WHERRY_FAILPOINT=engine.commit.frozen:kill $w commit worker || true
for i in $(seq 100); do [ "$(cat $(group worker)/cgroup.freeze)" = 0 ] && break; sleep 0.1; done
equal "$(cat $(group worker)/cgroup.freeze)" 0
$w rm -f worker
$w rmi made:1
$w fsck
echo good
"""),
    Case("prune takes what is idle, its bridge and cgroups too", r"""
$w create busybox:test true
$w run --rm busybox:test true
for i in $(seq 100); do $w system prune -af > /root/pruned; [ -e /sys/fs/cgroup/wherry ] || break; sleep 0.1; done
[ ! -e /sys/fs/cgroup/wherry ]
equal "$($w ps -aq)$($w images -q)" ""
[ "$(ip -br link | grep -c "^wherry0" || true)" = 0 ]
$w import /payload/busybox.tar busybox:test
equal "$($w run --rm busybox:test echo again)" again
echo good
"""),
    Case("wherry-oci keeps limits, pauses and counts on cgroup v2", r"""
limits='"memory": {"limit": 67108864}, "pids": {"limit": 30}, "cpu": {"quota": 50000, "period": 100000},'
bundle /tmp/limited '"sleep","1000"'
$oci run -d -b /tmp/limited limited < /dev/null > /dev/null 2>&1
g=/sys/fs/cgroup/wherry-oci/limited
equal "$(cat $g/memory.max) $(cat $g/pids.max) $(cat $g/cpu.max)" "67108864 30 50000 100000"
$oci update --memory 32m --pids-limit 20 limited
equal "$(cat $g/memory.max) $(cat $g/pids.max)" "33554432 20"
$oci pause limited
equal "$(cat $g/cgroup.freeze)" 1
$oci state limited | grep -q '"status": "paused"'
$oci resume limited
equal "$($oci ps -f json limited)" "[$(cat $g/cgroup.procs)]"
$oci events --stats limited | grep -q '"pids":{"current":1,"limit":20}'
equal "$($oci exec limited cat /proc/self/cgroup)" 0::/
$oci delete --force limited
[ ! -e $g ]
rm -rf /tmp/limited
echo good
"""),
    Case("wherry-oci limits huge pages, block devices and what only cgroup v2 has a name for", r"""
dev=$(cat /sys/block/vda/dev)
device="\"major\": ${dev%:*}, \"minor\": ${dev#*:}"
limits='"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}], "unified": {"memory.high": "50000000"},'
limits="$limits \"blockIO\": {\"throttleReadBpsDevice\": [{$device, \"rate\": 1048576}], \"throttleWriteIOPSDevice\": [{$device, \"rate\": 200}]},"
bundle /tmp/rare '"sleep","1000"'
$oci run -d -b /tmp/rare rare < /dev/null > /dev/null 2>&1
g=/sys/fs/cgroup/wherry-oci/rare
equal "$(cat $g/hugetlb.2MB.max)" 4194304
equal "$(cat $g/memory.high)" 49999872
equal "$(cat $g/io.max)" "$dev rbps=1048576 wbps=max riops=max wiops=200"
$oci delete --force rare
rm -rf /tmp/rare
limits='"hugepageLimits": [{"pageSize": "3MB", "limit": 4194304}],'
bundle /tmp/rare '"sleep","1000"'
$oci create -b /tmp/rare rare < /dev/null > /tmp/log 2>&1 && exit 1
grep -q 'hugetlb.3MB.max' /tmp/log
rm -rf /tmp/rare
echo good
"""),
    Case("wherry-oci has its cgroup made by systemd as a scope", r"""
limits='"memory": {"limit": 67108864}, "pids": {"limit": 30}, "cpu": {"shares": 1024, "quota": 50000, "period": 100000},'
bundle /tmp/scoped '"sleep","1000"'
sed -i 's|"cgroupsPath": "[^"]*"|"cgroupsPath": "user.slice:box:scoped"|; t; s|"linux": {|&"cgroupsPath": "user.slice:box:scoped",|' /tmp/scoped/config.json
$oci --systemd-cgroup run -d -b /tmp/scoped scoped < /dev/null > /dev/null 2>&1
g=/sys/fs/cgroup/user.slice/box-scoped.scope
equal "$(systemctl is-active box-scoped.scope)" active
equal "$(systemctl show -P Slice box-scoped.scope) $(systemctl show -P Delegate box-scoped.scope)" "user.slice yes"
equal "$(systemctl show -P MemoryMax box-scoped.scope) $(systemctl show -P TasksMax box-scoped.scope)" "67108864 30"
equal "$(systemctl show -P CPUQuotaPerSecUSec box-scoped.scope)" 500ms
equal "$(cat $g/memory.max) $(cat $g/pids.max) $(cat $g/cpu.max)" "67108864 30 50000 100000"
equal "$(wc -l < $g/cgroup.procs)" 1
equal "$($oci exec scoped cat /proc/self/cgroup)" 0::/
systemctl daemon-reload
$oci --systemd-cgroup update --memory 32m --pids-limit 20 scoped
equal "$(systemctl show -P MemoryMax box-scoped.scope) $(cat $g/memory.max) $(cat $g/pids.max)" "33554432 33554432 20"
$oci --systemd-cgroup delete --force scoped
[ ! -e $g ]
[ "$(systemctl is-active box-scoped.scope)" != active ]
rm -rf /tmp/scoped
echo good
"""),
    Case("wherry-oci maps users and sets clocks on kernel 6.1", r"""
limits=
bundle /tmp/mapped '"sh","-c","cat \/proc\/self\/uid_map; stat -c %t:%T \/dev\/null; cut -d. -f1 \/proc\/uptime"'
chown -R 100000:100000 /tmp/mapped/rootfs
sed -i 's|"namespaces": \[|"uidMappings": [{"containerID":0,"hostID":100000,"size":1000}], "gidMappings": [{"containerID":0,"hostID":100000,"size":1000}], "timeOffsets": {"boottime": {"secs": 1000000, "nanosecs": 0}}, &{"type":"user"},{"type":"time"},|' /tmp/mapped/config.json
out=$($oci run -b /tmp/mapped mapped | tr -s ' \n' ' ')
echo "$out"
case $out in " 0 100000 1000 1:3 100"*|"0 100000 1000 1:3 100"*) ;; *) exit 1 ;; esac
rm -rf /tmp/mapped
echo good
"""),
    Case("wherry-oci confines by AppArmor profiles and names those that are not loaded", r"""
apparmor_parser -r <<'END'
abi <abi/3.0>,
profile wherry-test flags=(attach_disconnected) {
  capability, file, network, mount, umount, pivot_root, signal, ptrace, unix, dbus,
  deny /secret r,
}
END
limits=
bundle /tmp/aa '"cat","secret"'
echo hidden > /tmp/aa/rootfs/secret
equal "$($oci run -b /tmp/aa plain)" hidden
sed -i 's/"process": {/&"apparmorProfile":"wherry-test",/' /tmp/aa/config.json
code=0; out=$($oci run -b /tmp/aa confined 2>&1) || code=$?
equal "$code $out" "1 cat: can't open 'secret': Permission denied"
sed -i 's/"cat","secret"/"sleep","1000"/' /tmp/aa/config.json
$oci run -d -b /tmp/aa sleeper < /dev/null > /dev/null 2>&1
equal "$(cat /proc/$($oci state sleeper | sed -n 's/.*"pid": \([0-9]*\).*/\1/p')/attr/current)" "wherry-test (enforce)"
equal "$($oci exec sleeper cat /proc/self/attr/current)" "wherry-test (enforce)"
$oci exec sleeper cat secret 2>&1 | grep -q 'Permission denied'
equal "$($oci exec --apparmor unconfined sleeper cat secret)" hidden
code=0; out=$($oci exec --apparmor nosuch sleeper true 2>&1) || code=$?
equal $code 255
[[ $out == *"AppArmor profile 'nosuch'"* ]]
$oci delete -f sleeper
rm -rf /tmp/aa
apparmor_parser -R <<< 'profile wherry-test { }'
echo good
"""),
    Case("wherry-oci writes a container to disk and brings it back through CRIU", r"""
limits=
bundle /tmp/frozen '"sh", "-c", "i=0; while :; do i=\$((i + 1)); echo \$i > \/count; sleep 0.1; done"'
$oci run -d -b /tmp/frozen frozen < /dev/null > /dev/null 2>&1
while ! [ -s /tmp/frozen/rootfs/count ]; do sleep 0.1; done
$oci checkpoint --image-path /tmp/image frozen
$oci state frozen && exit 1
before=$(cat /tmp/frozen/rootfs/count)
rm /tmp/frozen/rootfs/count
$oci restore -d -b /tmp/frozen --image-path /tmp/image --pid-file /tmp/frozen/pid frozen < /dev/null > /tmp/log 2>&1 || { cat /tmp/log; tail -30 /tmp/image/restore.log; exit 1; }
while ! [ -s /tmp/frozen/rootfs/count ]; do sleep 0.1; done
[ "$(cat /tmp/frozen/rootfs/count)" -ge "$before" ]
$oci state frozen | grep -q '"status": "running"'
$oci exec frozen true
$oci delete --force frozen
rm -rf /tmp/frozen /tmp/image
echo good
"""),
    Case("nothing is left behind", r"""
equal "$(ls /run/wherry/containers 2>/dev/null)" ""
[ "$(ip -br link | grep -c "^veth" || true)" = 0 ]
pgrep -x wherry-monitor && exit 1
echo good
"""),
    Case("twenty containers start and go at once", r"""
for i in $(seq 20); do $w run -d --name many$i busybox:test sleep 1000 & done; wait
equal "$($w ps -q | wc -l)" 20
for i in $(seq 20); do $w rm -f many$i & done; wait
equal "$($w ps -aq)" ""
echo good
""", full_only=True),
    # The smallest policy that the kernel takes: classes that it does not name are allowed.
    Case("wherry-oci confines by SELinux labels and labels mounts and keys", r"""
cat > /tmp/test.cil <<'END'
(handleunknown allow)
(mls true)
(policycap nnp_nosuid_transition)
(sid kernel) (sid security) (sid unlabeled) (sidorder (kernel security unlabeled))
(class file (read)) (class dir (rmdir)) (class key (view)) (class process (transition dyntransition))
(classorder (file dir key process))
(sensitivity s0) (sensitivityorder (s0))
(category c0) (category c1) (categoryorder (c0 c1)) (sensitivitycategory s0 (c0 c1))
(level low (s0)) (level high (s0 (c0 c1))) (levelrange all (low high))
(user system_u) (userlevel system_u low) (userrange system_u all)
(role system_r) (role object_r) (userrole system_u system_r) (userrole system_u object_r)
(type host_t) (type container_t) (type file_t) (type container_file_t) (type secret_t)
(roletype system_r host_t) (roletype system_r container_t)
(roletype object_r file_t) (roletype object_r container_file_t) (roletype object_r secret_t)
(typeattribute every) (typeattributeset every (all))
(context host (system_u system_r host_t all)) (context files (system_u object_r file_t (low low)))
(sidcontext kernel host) (sidcontext security host) (sidcontext unlabeled files)
(fsuse xattr ext4 files) (fsuse xattr overlay files) (fsuse trans tmpfs files) (fsuse trans devpts files) (fsuse trans mqueue files)
(genfscon proc / files) (genfscon sysfs / files)
(allow host_t every (file (read))) (allow host_t every (dir (rmdir))) (allow host_t every (key (view)))
(allow host_t every (process (transition dyntransition)))
(allow container_t container_t (file (read))) (allow container_t container_t (key (view)))
(allow container_t file_t (file (read))) (allow container_t container_file_t (file (read)))
END
secilc /tmp/test.cil -o /tmp/policy -f /dev/null
cat /tmp/policy > /sys/fs/selinux/load
echo 1 > /sys/fs/selinux/enforce
limits=
bundle /tmp/labelled '"cat","secret"'
echo hidden > /tmp/labelled/rootfs/secret
chcon system_u:object_r:secret_t:s0 /tmp/labelled/rootfs/secret
equal "$($oci run -b /tmp/labelled plain)" hidden
# With categories, whose comma is not one between options; and an overlay of more than fsconfig(2) takes.
type=system_u:system_r:container_t:s0:c0,c1
files=system_u:object_r:container_file_t:s0:c0,c1
long=/tmp/$(printf '%0130d' 0)
mkdir -p $long/one $long/two
overlay="{\"destination\":\"/over\",\"type\":\"overlay\",\"source\":\"overlay\",\"options\":[\"lowerdir=$long/one:$long/two\",\"ro\"]},"
sed -i "s/\"process\": {/&\"selinuxLabel\":\"$type\",/; s/\"linux\": {/&\"mountLabel\":\"$files\",/; s/\"\/proc\/keys\",//; s|\"mounts\": \[|&$overlay|" /tmp/labelled/config.json
code=0; out=$($oci run -b /tmp/labelled confined 2>&1) || code=$?
equal "$code $out" "1 cat: can't open 'secret': Permission denied"
sed -i 's/"cat","secret"/"sleep","1000"/' /tmp/labelled/config.json
$oci run -d -b /tmp/labelled sleeper < /dev/null > /dev/null 2>&1
pid=$($oci state sleeper | sed -n 's/.*"pid": \([0-9]*\).*/\1/p')
equal "$(tr -d '\0' < /proc/$pid/attr/current)" $type
equal "$($oci exec sleeper cat /proc/self/attr/current | tr -d '\0')" $type
$oci exec sleeper cat secret 2>&1 | grep -q 'Permission denied'
equal "$($oci exec --process-label system_u:system_r:host_t:s0 sleeper cat secret)" hidden
code=0; out=$($oci exec --process-label system_u:system_r:nosuch_t:s0 sleeper true 2>&1) || code=$?
equal $code 255
[[ $out == *"SELinux label 'system_u:system_r:nosuch_t:s0'"* ]]
for place in /dev /dev/mqueue /dev/pts /dev/shm /over /sys/firmware/; do
  equal "$place $(stat -c %C /proc/$pid/root$place)" "$place $files"
done
equal "$(stat -c %C /proc/$pid/root/proc/uptime)" system_u:object_r:file_t:s0
# The keyring is one that the container's type may see.
$oci exec sleeper cat /proc/keys | grep -q 'keyring *_ses'
$oci delete -f sleeper
echo 0 > /sys/fs/selinux/enforce
rm -rf /tmp/labelled $long
echo good
""", security="selinux"),
]
