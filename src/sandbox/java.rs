//! Java: no variable for a proxy, so system properties; they must not show the token, for each JVM prints them.

use super::env::Way;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::path::Path;

/// Name of the JKS trust store in the way's directory.
pub(super) const TRUSTSTORE: &str = "truststore.jks";
/// Name of the launcher's argument file with the credentials.
pub(super) const ARGUMENTS: &str = "java.args";
/// Name of the directory that stands in for Maven's `conf`.
pub(super) const MAVEN: &str = "maven";

/// Variables whose Java options come after ours or stand on the command line, and so would win.
const OPTIONS: [&str; 10] = [
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "_JAVA_OPTIONS",
    "JAVA_OPTS",
    "JVM_OPTS",
    "MAVEN_OPTS",
    "GRADLE_OPTS",
    "SBT_OPTS",
    "ANT_OPTS",
    "KOTLIN_OPTS",
];

/// Options that lead past the gateway, or that replace its trust store.
const REPLACED: [&str; 12] = [
    "-Dhttp.proxyHost",
    "-Dhttp.proxyPort",
    "-Dhttp.proxyUser",
    "-Dhttp.proxyPassword",
    "-Dhttps.proxyHost",
    "-Dhttps.proxyPort",
    "-Dhttps.proxyUser",
    "-Dhttps.proxyPassword",
    "-Dhttp.nonProxyHosts",
    "-DsocksProxyHost",
    "-Djavax.net.ssl.trustStore",
    "-Djava.net.useSystemProxies",
];

/// Sets what Java reads.
///
/// The JVM prints `JAVA_TOOL_OPTIONS` on stderr at each start, so the credentials go through the launcher's
/// argument file (`JDK_JAVA_OPTIONS`, JDK 9), of which only the path is printed, and for Maven through its
/// settings. `MAVEN_OPTS` and `GRADLE_OPTS` won't do: they end on a command line, which `ps` shows to everyone.
pub(super) fn configure(way: &Way<'_>, child: &mut BTreeMap<OsString, OsString>) {
    for name in OPTIONS {
        let Some(filtered) = child.get(OsStr::new(name)).and_then(|value| without_replaced(value.to_str()?)) else {
            continue;
        };
        child.insert(name.into(), filtered.into());
    }
    append(child, "JAVA_TOOL_OPTIONS", &tool_options(way));
    append(child, "JDK_JAVA_OPTIONS", &quoted("@", &way.file(ARGUMENTS)));
    // Maven 3 reads its global settings from maven.conf; Maven 3.9 and 4 take the option as well
    append(child, "MAVEN_ARGS", &quoted("--global-settings=", &way.file(MAVEN).join("settings.xml")));
}

fn tool_options(way: &Way<'_>) -> String {
    let mut options = String::new();
    for scheme in ["http", "https"] {
        let (host, port) = (way.proxy.ip(), way.proxy.port());
        let _ = write!(options, "-D{scheme}.proxyHost={host} -D{scheme}.proxyPort={port} ");
    }
    // Java's default leaves out loopback; and since 8u111 it offers no Basic credentials for CONNECT
    options.push_str("-Dhttp.nonProxyHosts= -Djdk.http.auth.tunneling.disabledSchemes= ");
    options.push_str("-Djdk.http.auth.proxying.disabledSchemes= -Djavax.net.ssl.trustStoreType=JKS ");
    options.push_str(&quoted("-Djavax.net.ssl.trustStore=", &way.file(TRUSTSTORE)));
    options.push(' ');
    options.push_str(&quoted("-Dmaven.conf=", &way.file(MAVEN)));
    options
}

/// An option with a path, in the quotes that JVM, launcher and shell scripts share when it holds a space.
fn quoted(option: &str, path: &Path) -> String {
    let option = format!("{option}{}", path.display());
    if option.contains(char::is_whitespace) { format!("\"{option}\"") } else { option }
}

fn append(child: &mut BTreeMap<OsString, OsString>, name: &str, addition: &str) {
    let value = child.entry(name.into()).or_default();
    if !value.is_empty() {
        value.push(" ");
    }
    value.push(addition);
}

/// The options without the replaced ones, or nothing when there are none of them: then not a byte changes.
fn without_replaced(options: &str) -> Option<String> {
    let replaced = |option: &&str| {
        let option = option.trim_start_matches(['"', '\'']);
        REPLACED.iter().any(|name| option.starts_with(name))
    };
    options.split_whitespace().any(|option| replaced(&option)).then(|| {
        let kept: Vec<_> = options.split_whitespace().filter(|option| !replaced(option)).collect();
        kept.join(" ")
    })
}

/// The launcher's argument file: the credentials, for clients that look for them in system properties.
pub(super) fn arguments(way: &Way<'_>) -> String {
    let (user, password) = (way.session, way.token);
    let mut text = String::new();
    for scheme in ["http", "https"] {
        let _ = write!(text, "-D{scheme}.proxyUser={user}\n-D{scheme}.proxyPassword={password}\n");
    }
    text
}

/// Maven's global settings: the proxy for both schemes, and the block on plain-HTTP repositories that Maven's own
/// file has since 3.8.1 (CVE-2021-26291) and this one stands in for.
pub(super) fn maven_settings(way: &Way<'_>) -> String {
    let (host, port, user, password) = (way.proxy.ip(), way.proxy.port(), way.session, way.token);
    let mut proxies = String::new();
    for scheme in ["https", "http"] {
        let _ = writeln!(
            proxies,
            "    <proxy><id>exeat-{scheme}</id><active>true</active><protocol>{scheme}</protocol>\
             <host>{host}</host><port>{port}</port><username>{user}</username><password>{password}</password></proxy>"
        );
    }
    format!(
        "<settings xmlns=\"http://maven.apache.org/SETTINGS/1.0.0\">\n  <proxies>\n{proxies}  </proxies>\n  <mirrors>\n    \
         <mirror><id>maven-default-http-blocker</id><mirrorOf>external:http:*</mirrorOf>\
         <name>Pseudo repository that blocks plain HTTP</name><url>http://0.0.0.0/</url><blocked>true</blocked></mirror>\n  \
         </mirrors>\n</settings>\n"
    )
}

/// What Maven logs with when `maven.conf` is ours: the look of its own `conf/logging`.
pub(super) const MAVEN_LOGGING: &str = "\
org.slf4j.simpleLogger.defaultLogLevel=info
org.slf4j.simpleLogger.showDateTime=false
org.slf4j.simpleLogger.showThreadName=false
org.slf4j.simpleLogger.showLogName=false
org.slf4j.simpleLogger.logFile=System.out
org.slf4j.simpleLogger.cacheOutputStream=true
org.slf4j.simpleLogger.levelInBrackets=true
org.slf4j.simpleLogger.warnLevelString=WARNING
org.slf4j.simpleLogger.log.Sisu=info
org.slf4j.simpleLogger.log.org.apache.maven.wagon.providers.http.httpclient=off
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_lead_past_the_gateway_are_dropped_and_others_kept() {
        for (options, kept) in [
            ("-Xmx2g -Dhttp.proxyHost=corp -Dhttps.proxyPort=1 -ea", Some("-Xmx2g -ea")),
            ("\"-Djavax.net.ssl.trustStore=/a\" -Djavax.net.ssl.trustStorePassword=x", Some("")),
            ("-DsocksProxyHost=s -Djava.net.useSystemProxies=true -Dx=1", Some("-Dx=1")),
            ("-Xmx2g   -Da=\"b  c\"", None),
            ("", None),
        ] {
            assert_eq!(without_replaced(options).as_deref(), kept, "{options}");
        }
    }
}
